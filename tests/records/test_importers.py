"""FHIR resources and a hospital's own export become the same records."""

import json

import pytest

from outcomekpi.declare.errors import SpecError, StorageError
from outcomekpi.records.fhir import from_fhir
from outcomekpi.records.his import from_his

SUBJECT = {"subject": {"reference": "Patient/a"}}
RESOURCES = [
    {"resourceType": "Patient", "id": "a", "birthDate": "1960-02-29", "gender": "female"},
    {
        "resourceType": "Encounter", "id": "e1", **SUBJECT, "status": "finished",
        "class": {"code": "AMB"}, "type": [{"coding": [{"code": "185349003"}], "text": "visit"}],
        "period": {"start": "2026-03-01T08:00:00+08:00", "end": "2026-03-01T08:15:00+08:00"},
    },
    {
        "resourceType": "Condition", "id": "c1", **SUBJECT,
        "code": {"coding": [{"code": "44054006"}]}, "onsetDateTime": "2020-01-01",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
    },
    {
        "resourceType": "Observation", "id": "o1", **SUBJECT, "status": "final",
        "code": {"coding": [{"code": "4548-4"}]}, "effectiveDateTime": "2026-03-01T00:30:00+08:00",
        "valueQuantity": {"value": 6.8, "unit": "%"},
    },
    {
        "resourceType": "Observation", "id": "o2", **SUBJECT, "status": "final",
        "code": {"coding": [{"code": "85354-9"}]}, "effectiveDateTime": "2026-03-01",
        "component": [
            {"code": {"coding": [{"code": "8480-6"}]},
             "valueQuantity": {"value": 138, "unit": "mmHg"}},
            {"code": {"coding": [{"code": "8462-4"}]},
             "valueQuantity": {"value": 40, "comparator": "<", "unit": "mmHg"}},
        ],
    },
]  # fmt: skip
NAMES = {"44054006": "diabetes", "4548-4": "hba1c", "8480-6": "systolic pressure"}


def as_bundle(folder):
    bundle = {"resourceType": "Bundle", "entry": [{"resource": one} for one in RESOURCES]}
    (folder / "bundle.json").write_text(json.dumps(bundle))


def as_lines(folder):
    for one in RESOURCES:
        with (folder / f"{one['resourceType']}.ndjson").open("a") as file:
            file.write(json.dumps(one) + "\n")


@pytest.mark.parametrize("write", [as_bundle, as_lines])
def test_resources_become_records_with_a_row_for_each_component(write, tmp_path):
    write(tmp_path)
    tables = from_fhir(tmp_path, concepts=NAMES, time_zone="Asia/Shanghai").tables
    measured = tables["measurements"].set_index("id")
    assert measured["number"].fillna(-1).to_dict() == {"o1": 6.8, "o2>1": 138, "o2>2": -1}
    assert measured["sign"].to_dict() == {"o1": "", "o2>1": "", "o2>2": "<"}
    assert measured.loc["o1", "concepts"] == "hba1c"
    assert str(measured.loc["o1", "start"]) == "2026-03-01 00:30:00"
    assert tables["conditions"]["concepts"].tolist() == ["diabetes"]
    assert tables["encounters"]["concepts"].tolist() == ["185349003|visit"]


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "Patient.ndjson").write_text('{"resourceType": "Patient", "id": "a"}\n{"id": \n')
    with pytest.raises(StorageError, match="line 2"):
        from_fhir(tmp_path)


MAPPING = """
[patients]
file = "病人.csv"
columns = { patient = "病历号", birth_date = "出生日期", sex = "性别" }
values = { sex = { "女" = "female", "男" = "male" } }

[[measurements]]
file = "检验.csv"
columns = { patient = "病历号", start = "采样时间", code = "项目", value = "结果", unit = "单位" }
fixed = { concepts = "hba1c", source = "LIS" }
"""


def write_export(folder):
    patients = "病历号,出生日期,性别\n007,1960-02-29,女\n"
    results = "病历号,采样时间,项目,结果,单位\n007,2026-03-01 08:00,HbA1c,6.8,%\n"
    results += "007,2026-04-01 08:00,HbA1c,<4,%\n"
    (folder / "病人.csv").write_text(patients, encoding="gb18030")
    (folder / "检验.csv").write_text(results, encoding="utf-8-sig")
    (folder / "map.toml").write_text(MAPPING, encoding="utf-8")
    return folder


def test_a_chinese_export_is_read_by_its_mapping(tmp_path):
    tables = from_his(write_export(tmp_path), tmp_path / "map.toml").tables
    assert tables["patients"][["patient", "sex"]].to_numpy().tolist() == [["007", "female"]]
    measured = tables["measurements"]
    assert measured["value"].tolist() == ["6.8", "<4"]
    assert measured["concepts"].tolist() == ["hba1c", "hba1c"]
    assert str(measured["start"].iloc[0]) == "2026-03-01 08:00:00"


def test_all_wrong_keys_of_a_mapping_are_told_at_once(tmp_path):
    write_export(tmp_path)
    wrong = MAPPING.replace("unit =", "units =").replace('"出生日期"', '"生日"')
    (tmp_path / "map.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(SpecError, match=r"生日(.|\n)*Did you mean 'unit'"):
        from_his(tmp_path, tmp_path / "map.toml")
