"""Draw the pictures of the README from medpar: ``.venv/bin/python docs/make_figures.py``."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

import outcomekpi as ok

FOLDER = Path(__file__).parent / "images"


def main() -> None:
    """Write one PNG for the caterpillar and one for the funnel."""
    cases = ok.Cases.from_frame(
        ok.datasets.load_medpar(), outcome="died", doctor="provnum", direction="lower"
    )
    fit = ok.fit(cases, ok.ModelSpec(case_mix="hmo + age80 + C(type)"), seed=20261)
    rates = ok.standardize(fit)
    flags = ok.classify(rates)
    FOLDER.mkdir(exist_ok=True)
    _, wide = plt.subplots(figsize=(9, 6.5), layout="constrained")
    caterpillar = ok.plot_caterpillar(rates, flags=flags, ax=wide)
    caterpillar.set_ylabel("54 hospitals, the best at the top")
    for name, ax in (
        ("caterpillar", caterpillar),
        ("funnel", ok.plot_funnel(rates, flags=flags)),
    ):
        ax.figure.savefig(FOLDER / f"{name}.png", dpi=130, metadata={"Software": None})
        plt.close(ax.figure)


if __name__ == "__main__":
    main()
