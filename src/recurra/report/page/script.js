"use strict";
(() => {
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

  function keyOf(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    const number = Number(text);
    return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return collator.compare(String(a), String(b));
  }

  // Rows without a value stay at the end in both directions; equal rows keep their order.
  function sortRows(body, column, direction, original) {
    const rows = [...original];
    if (direction !== 0) {
      const keys = new Map(rows.map((row) => [row, keyOf(row, column)]));
      rows.sort((one, other) => {
        const [a, b] = [keys.get(one), keys.get(other)];
        if (a === null || b === null) return (a === null) - (b === null);
        return direction * compare(a, b);
      });
    }
    body.append(...rows);
  }

  function makeSortable(table) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = now === "ascending" ? "descending" : now === "descending" ? null : "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        sortRows(body, column, next === "ascending" ? 1 : next === "descending" ? -1 : 0, original);
      });
    });
  }

  function makeFilterable(table) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 8) return;
    const label = make("label", { textContent: "Filter rows" });
    const input = make("input", { type: "search", autocomplete: "off" });
    input.id = label.htmlFor = table.id + "-filter";
    input.setAttribute("aria-controls", table.id);
    const count = make("output", { htmlFor: input.id });
    input.addEventListener("input", () => {
      const wanted = input.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLocaleLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.value = wanted.length ? `${shown} of ${rows.length} rows` : "";
    });
    const line = make("div", { className: "filter" });
    line.append(label, input, count);
    table.parentElement.before(line);
  }

  function savePicture(link) {
    const image = new Image();
    image.onload = () => {
      const canvas = make("canvas", { width: image.width * 2, height: image.height * 2 });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      make("a", { download: link.download.replace(/svg$/, "png"), href: canvas.toDataURL("image/png") }).click();
    };
    image.src = link.href;
  }

  function addPictureButton(link) {
    const button = make("button", { type: "button", textContent: "PNG" });
    button.setAttribute("aria-label", link.getAttribute("aria-label").replace(/SVG$/, "PNG"));
    button.addEventListener("click", () => savePicture(link));
    link.after(button);
  }

  // One piece at a time can be reached by the tabulator key; the arrow keys go on from there.
  function showWeights(words) {
    const out = words.parentElement.querySelector("output");
    const pieces = [...words.querySelectorAll("[data-weight]")];
    if (!pieces.length) return;
    pieces.forEach((piece, place) => (piece.tabIndex = place ? -1 : 0));
    const show = (event) => {
      const piece = event.target.closest("[data-weight]");
      if (!piece) return;
      const weight = piece.dataset.weight;
      const meaning = weight.startsWith("-") ? words.dataset.negative : words.dataset.positive;
      out.value = `“${piece.textContent.trim()}”: ${weight} (${meaning})`;
    };
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    words.addEventListener("keydown", (event) => {
      const at = pieces.indexOf(event.target);
      if (at < 0 || !(event.key in steps)) return;
      event.preventDefault();
      const next = pieces[Math.max(0, Math.min(pieces.length - 1, at + steps[event.key]))];
      pieces[at].tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
    words.addEventListener("pointerover", show);
    words.addEventListener("pointerdown", show);
    words.addEventListener("focusin", show);
  }

  function openFor(hash) {
    const target = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
    if (!target) return;
    const fold = target.querySelector(":scope > details") ?? target.closest("details");
    if (fold) fold.open = true;
  }

  document.querySelectorAll("table[data-sortable]").forEach((table) => {
    makeSortable(table);
    makeFilterable(table);
  });
  document.querySelectorAll('a[download$=".svg"]').forEach(addPictureButton);
  document.querySelectorAll(".words").forEach(showWeights);
  addEventListener("hashchange", () => openFor(location.hash));
  document.querySelectorAll("nav a").forEach((link) => link.addEventListener("click", () => openFor(link.hash)));
  openFor(location.hash);

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((fold) => (fold.open = true));
  });
  addEventListener("afterprint", () => folded.forEach((fold) => (fold.open = false)));
})();
