/** Lists of items that keep their elements from one answer to the next, so that rows move instead of blinking. */

const ICONS = {
  add: "M12 5v14M5 12h14",
  hide: "M4 4l16 16M9.9 5.2A10 10 0 0 1 12 5c5 0 8.5 4 9.5 7a12 12 0 0 1-2.4 3.8M6.3 6.9A12 12 0 0 0 2.5 12c1 3 4.5 7 9.5 7a10 10 0 0 0 4.7-1.2M10 10a3 3 0 0 0 4 4",
  remove: "M6 6l12 12M18 6L6 18",
};
const WORDS = { add: "Add to your history", hide: "Not for me", remove: "Remove from your history" };

/**
 * Show `items` in `list`, with a button for each of `actions`.
 *
 * @param items objects with id, title and, where there is one, share: the width of the bar, 0 to 1.
 * @param act called with the name of the action and the item.
 */
export function fill(list, items, actions, act) {
  const old = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const tops = new Map([...old].map(([id, row]) => [id, row.getBoundingClientRect().top]));
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const place = focused ? [...list.children].indexOf(focused.closest("li")) : -1;
  const rows = items.map((item) => old.get(item.id) ?? newRow(item, actions, act));
  list.replaceChildren(...rows);
  for (const [n, row] of rows.entries()) setShare(row, items[n].share);
  if (focused) keepFocus(list, focused, place);
  slide(rows, tops);
}

function newRow(item, actions, act) {
  const row = document.createElement("li");
  row.dataset.id = item.id;
  const name = row.appendChild(document.createElement("div"));
  name.className = "name";
  const title = name.appendChild(document.createElement("span"));
  title.className = "title";
  title.textContent = item.title;
  title.title = item.title;
  const buttons = row.appendChild(document.createElement("div"));
  buttons.className = "actions";
  for (const action of actions) buttons.append(button(action, item, act));
  return row;
}

function button(action, item, act) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = action;
  element.title = WORDS[action];
  element.ariaLabel = `${WORDS[action]}: ${item.title}`;
  const icon = element.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("aria-hidden", "true");
  icon.appendChild(document.createElementNS(icon.namespaceURI, "path")).setAttribute("d", ICONS[action]);
  element.addEventListener("click", () => act(action, item));
  return element;
}

function setShare(row, share) {
  const name = row.querySelector(".name");
  const bar = name.querySelector(".bar") ?? name.appendChild(document.createElement("span"));
  bar.className = "bar";
  bar.hidden = share === undefined;
  bar.style.setProperty("--share", share ?? 0);
}

/** The focus stays on its button, or goes to the same button of the row that took the place of a row now gone. */
function keepFocus(list, focused, place) {
  const row = list.children[Math.min(place, list.children.length - 1)];
  const target = focused.isConnected ? focused : row?.querySelector(`.${focused.className}`);
  (target ?? list.closest("section").querySelector("h2")).focus({ preventScroll: focused.isConnected });
}

function slide(rows, tops) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const row of rows) {
    const before = tops.get(row.dataset.id);
    const from = before === undefined ? { opacity: 0 } : { transform: `translateY(${before - row.getBoundingClientRect().top}px)` };
    row.animate([from, {}], { duration: 220, easing: "cubic-bezier(0.2, 0, 0, 1)" });
  }
}
