/** A text field with a list of matches below it, after the combobox pattern of the ARIA Authoring Practices. */

const SHOWN = 8;
const CONSIDERED = 100;
const NONE = "No title matches.";

/** Lower case without accents, so that "creme" finds "Crème". */
const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/**
 * Wire an input and a listbox.
 *
 * @param input the text field, role combobox.
 * @param list the element with role listbox.
 * @param items objects with a `title`, those to prefer first.
 * @param choose called with the item that was chosen.
 * @param say called with words for those who cannot see the list.
 */
export function combobox(input, list, items, { choose, say }) {
  const titles = items.map((item) => fold(item.title));
  let matches = [];
  let active = -1;

  /** Items whose title holds every word of the query, those first where a word near the start begins like its first. */
  function search(query) {
    const words = fold(query).split(/\s+/).filter(Boolean);
    const found = [];
    for (let place = 0; words.length && place < titles.length && found.length < CONSIDERED; place++) {
      if (!words.every((word) => titles[place].includes(word))) continue;
      const start = ` ${titles[place]}`.indexOf(` ${words[0]}`);
      found.push({ item: items[place], start: start < 0 ? Infinity : start });
    }
    found.sort((a, b) => (a.start === b.start ? 0 : a.start - b.start)); // among equals, the order given
    return found.slice(0, SHOWN).map(({ item }) => item);
  }

  function show() {
    matches = search(input.value);
    const none = input.value.trim() && !matches.length;
    list.replaceChildren(...(none ? [option(NONE, -1)] : matches.map((item, n) => option(item.title, n))));
    if (none) say(NONE);
    list.hidden = !list.childElementCount;
    input.setAttribute("aria-expanded", String(!list.hidden));
    activate(matches.length ? 0 : -1);
  }

  function option(text, place) {
    const row = document.createElement("li");
    row.id = `match-${place}`;
    row.role = "option";
    row.appendChild(document.createElement("span")).textContent = text;
    if (place < 0) row.ariaDisabled = "true";
    else row.addEventListener("click", () => take(place));
    return row;
  }

  function activate(place) {
    active = place;
    for (const [n, row] of [...list.children].entries()) row.ariaSelected = String(n === place);
    if (place < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", `match-${place}`);
    list.children[place].scrollIntoView({ block: "nearest" });
  }

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function take(place) {
    const item = matches[place];
    input.value = "";
    show();
    choose(item);
  }

  const keys = {
    ArrowDown: () => (list.hidden ? show() : activate((active + 1) % matches.length)),
    ArrowUp: () => activate((active - 1 + matches.length) % matches.length),
    Enter: () => active >= 0 && !list.hidden && take(active),
    Escape: () => (list.hidden ? (input.value = "") : close()),
  };

  input.addEventListener("input", show);
  input.addEventListener("focus", show);
  input.addEventListener("blur", close);
  list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
  input.addEventListener("keydown", (event) => {
    if (event.isComposing || !keys[event.key] || (event.key.startsWith("Arrow") && !input.value.trim())) return;
    event.preventDefault();
    if (matches.length || event.key === "Escape") keys[event.key]();
  });
}
