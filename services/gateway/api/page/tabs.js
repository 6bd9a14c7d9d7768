// Tabs as the ARIA Authoring Practices have them: arrows, Home and End move, the chosen one alone is in the tab order.

const MOVES = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };

export function tabs(list, chosen) {
  const all = [...list.querySelectorAll("[role=tab]")];

  function choose(tab) {
    for (const each of all) {
      const is = each === tab;
      each.setAttribute("aria-selected", String(is));
      each.tabIndex = is ? 0 : -1;
      document.getElementById(each.getAttribute("aria-controls")).hidden = !is;
    }
    chosen();
  }

  for (const tab of all) tab.addEventListener("click", () => choose(tab));
  list.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (move === undefined) return;
    event.preventDefault();
    const at = all.indexOf(document.activeElement);
    const next = Number.isFinite(move) ? (at + move + all.length) % all.length : move < 0 ? 0 : all.length - 1;
    choose(all[next]);
    all[next].focus();
  });
}
