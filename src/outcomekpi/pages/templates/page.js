"use strict";
(() => {
  const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
  };

  const enliven = (table) => {
    const name = table.dataset.name;
    const part = (suffix) => document.getElementById(`${name}-${suffix}`);
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const heads = Array.from(table.tHead.rows[0].cells);
    const search = part("search");
    const only = part("only");
    const count = part("count");

    const sort = (column, direction) => {
      const sign = direction === "ascending" ? 1 : -1;
      const asText = heads[column].dataset.kind === "text";
      const keyed = rows.map((row, at) => [value(row, column), at, row]);
      keyed.sort(([a, i], [b, j]) => {
        if (a === "" || b === "") return (a === "") - (b === "") || i - j;
        return sign * (asText ? order.compare(a, b) : a - b) || i - j;
      });
      body.append(...keyed.map((entry) => entry[2]));
      heads.forEach((head, at) => {
        if (head.hasAttribute("aria-sort")) head.setAttribute("aria-sort", at === column ? direction : "none");
      });
    };

    const filter = () => {
      const wanted = search.value.trim().toLocaleLowerCase();
      let shown = 0;
      for (const row of rows) {
        const text = row.dataset.s === undefined ? row.cells[0].textContent : row.dataset.s;
        const hit = text.toLocaleLowerCase().includes(wanted) && !(only && only.checked && !row.className);
        row.hidden = !hit;
        shown += hit;
      }
      count.textContent = `${shown.toLocaleString("en-US")} of ${rows.length.toLocaleString("en-US")} ${name}s shown`;
    };

    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () =>
        sort(column, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending"));
    });
    search.addEventListener("input", filter);
    if (only) only.addEventListener("change", filter);
    part("tools").hidden = false;
    filter();
  };

  document.querySelectorAll("table.listing").forEach(enliven);
})();
