// What a reader needs of a page, measured in the browser. Each function returns the faults that it finds.

function luminance([r, g, b]) {
  const linear = [r, g, b].map((part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function colour(text) {
  const mixed = text.match(/^color\(srgb ([^)]*)\)/)?.[1].match(/[\d.]+/g)?.map(Number);
  if (mixed) return [...mixed.slice(0, 3).map((part) => part * 255), mixed[3] ?? 1];
  const parts = text.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
  return parts.length === 3 ? [...parts, 1] : parts;
}

// What lies behind a text: half transparent grounds are laid over those behind them.
function ground(element) {
  const shades = [];
  for (let at = element; at; at = at.parentElement) {
    const found = colour(getComputedStyle(at).backgroundColor);
    shades.push(found);
    if (found[3] === 1) break;
  }
  return shades.reduceRight((behind, [r, g, b, a]) => [r, g, b].map((part, i) => part * a + behind[i] * (1 - a)), [255, 255, 255]);
}

function faintTexts() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  let checked = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("script, style") || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const drawn = element instanceof SVGElement;
    const mine = colour(drawn ? style.fill : style.color);
    // Counts on the shades of a confusion matrix are black or white; the test of the theme computes theirs.
    if (drawn && (/^1,1,1,/.test(String(mine)) || /^254,254,254,/.test(String(mine)))) continue;
    const [low, high] = [luminance(mine), luminance(ground(element))].sort((a, b) => a - b);
    checked += 1;
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(`${node.textContent.trim().slice(0, 40)}: ${mine} on ${ground(element)}`);
  }
  return [checked, faint];
}

function nameOf(element) {
  const labelled = element.getAttribute("aria-labelledby");
  if (labelled) return labelled.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join("");
  const labels = [...(element.labels ?? [])].map((label) => label.textContent).join("");
  return (element.getAttribute("aria-label") ?? "") + labels + element.textContent.trim();
}

function structureFaults() {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const fail = (what, element) => faults.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  if (!document.documentElement.lang) faults.push("the page has no language");
  if (!document.title.trim()) faults.push("the page has no title");
  if (all("main").length !== 1) faults.push("there is not exactly one main part");
  if (all("h1").length !== 1) faults.push("there is not exactly one main heading");
  const levels = all("h1, h2, h3, h4").map((heading) => Number(heading.tagName[1]));
  levels.forEach((level, at) => at && level > levels[at - 1] + 1 && faults.push(`heading ${at} skips a level`));
  const ids = all("[id]").map((element) => element.id);
  ids.forEach((id, at) => ids.indexOf(id) !== at && faults.push(`the identifier ${id} stands twice`));
  all("a[href], button, input, [role=group], nav, section").forEach((element) => {
    if (!nameOf(element)) fail("without a name", element);
  });
  all("svg:not([aria-hidden=true])").forEach((drawing) => {
    if (drawing.getAttribute("role") !== "img" || !drawing.getAttribute("aria-label")) fail("without words", drawing);
  });
  all("th").forEach((head) => head.scope || fail("without a scope", head));
  all("table").forEach((table) => table.caption || fail("without a caption", table));
  all("[aria-labelledby], [aria-describedby], [aria-controls]").forEach((element) => {
    for (const name of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
      const wanted = element.getAttribute(name)?.split(" ") ?? [];
      if (wanted.some((id) => !document.getElementById(id))) fail(`${name} leads nowhere`, element);
    }
  });
  all("*").forEach((element) => {
    const scrolls = element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX === "auto";
    if (scrolls && element.tabIndex < 0) fail("scrolls but cannot be focused", element);
  });
  return faults;
}
