/* The two controls that HTML lacks: a menu of several values, and a list that can be searched. */
"use strict";

/** Values of a menu from which on it can be searched. */
const SEARCHED_FROM = 12;

/**
 * A menu in which several values can be chosen. `onChange(chosen)` hears of each change.
 *
 * `update(options, chosen)` takes options as [{value, note}] in their order. With `needsOne` the
 * last chosen value cannot be taken away; else none chosen means all.
 */
class CheckMenu {
  constructor(place, name, { needsOne = false, onChange }) {
    this.name = name;
    this.needsOne = needsOne;
    this.onChange = onChange;
    this.chosen = [];
    this.summary = element("summary");
    this.search = element("input", {
      type: "search",
      "aria-label": `Search ${name}`,
      placeholder: "Search",
    });
    this.search.addEventListener("input", () => this.narrow());
    this.list = element("div", { class: "options", role: "group", "aria-label": name });
    this.clear = element("button", { type: "button" }, "All");
    this.clear.addEventListener("click", () => {
      this.onChange([]);
      this.summary.focus();
    });
    this.details = element(
      "details",
      { class: "menu" },
      this.summary,
      element("div", { class: "sheet" }, this.search, this.list, this.clear),
    );
    this.details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.details.open) return;
      this.close();
      this.summary.focus();
    });
    // Open menus close when something else is used.
    document.addEventListener("pointerdown", (event) => {
      if (!this.details.contains(event.target)) this.close();
    });
    this.details.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !this.details.contains(event.relatedTarget)) this.close();
    });
    place.append(this.details);
  }

  close() {
    this.details.open = false;
  }

  update(options, chosen) {
    this.chosen = chosen;
    const known = new Set(options.map((option) => option.value));
    const shown = [
      ...options,
      ...chosen.filter((value) => !known.has(value)).map((value) => ({ value, note: "not here" })),
    ];
    const told = chosen.length ? chosen.join(", ") : "all";
    this.summary.replaceChildren(
      element("span", { class: "name" }, this.name),
      element("span", { class: "chosen" }, told),
    );
    const focused = document.activeElement?.closest?.(".options") === this.list
      ? document.activeElement.value
      : null;
    this.list.replaceChildren(...shown.map((option) => this.option(option)));
    if (focused !== null) this.boxes.find((box) => box.value === focused)?.focus();
    this.search.hidden = shown.length < SEARCHED_FROM;
    this.clear.hidden = this.needsOne;
    this.clear.disabled = !chosen.length;
    this.narrow();
  }

  get boxes() {
    return [...this.list.querySelectorAll("input")];
  }

  option({ value, note }) {
    const box = element("input", { type: "checkbox", value, checked: this.chosen.includes(value) });
    box.addEventListener("change", () => {
      const chosen = this.boxes.filter((one) => one.checked).map((one) => one.value);
      if (this.needsOne && !chosen.length) box.checked = true;
      else this.onChange(chosen);
    });
    return element(
      "label",
      {},
      box,
      element("span", { class: "value" }, value),
      element("span", { class: "note" }, note),
    );
  }

  narrow() {
    const wanted = this.search.hidden ? "" : this.search.value.toLowerCase();
    for (const box of this.boxes) {
      box.parentElement.hidden = !box.value.toLowerCase().includes(wanted);
    }
  }
}

/**
 * The search over measures, as the combobox of the ARIA practices: a field and a list below it.
 *
 * `update(options, chosen)` takes [{name, description, reason}]; one with a `reason` is not
 * published, and cannot be chosen. `onChoose(name)` hears which was.
 */
class MeasureSearch {
  constructor(input, list, help, onChoose) {
    Object.assign(this, { input, list, help, onChoose, options: [], chosen: "", matches: [] });
    this.active = -1;
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => this.open(""));
    input.addEventListener("input", () => this.open(input.value));
    input.addEventListener("keydown", (event) => this.onKey(event));
    input.addEventListener("blur", () => this.close());
    // The field keeps the focus, so that its blur does not close the list under the pointer.
    list.addEventListener("pointerdown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const item = event.target.closest("[role=option]");
      if (item) this.choose(Number(item.dataset.place));
    });
  }

  update(options, chosen) {
    this.options = options;
    this.chosen = chosen;
    if (this.list.hidden) this.input.value = chosen;
    const published = options.filter((option) => !option.reason).length;
    const left = options.length - published;
    this.help.textContent =
      `${published.toLocaleString("en-US")} measures` + (left ? `, ${left} not published` : "");
  }

  open(text) {
    const words = text.toLowerCase().split(/[\s_]+/).filter(Boolean);
    const holds = (option) => {
      const name = option.name.toLowerCase();
      const all = `${name} ${option.description.toLowerCase()}`;
      return words.every((word) => all.includes(word));
    };
    const rank = (option) => {
      const name = option.name.toLowerCase();
      if (option.reason) return 3;
      if (words.length && name.startsWith(words.join("_"))) return 0;
      return words.every((word) => name.includes(word)) ? 1 : 2;
    };
    this.matches = this.options.filter(holds);
    if (words.length) this.matches.sort((one, other) => rank(one) - rank(other));
    this.list.replaceChildren(
      ...this.matches.map((option, place) =>
        element(
          "li",
          {
            role: "option",
            id: `measure-${place}`,
            "data-place": place,
            "aria-selected": option.name === this.chosen ? "true" : "false",
            "aria-disabled": option.reason ? "true" : null,
          },
          element("span", { class: "name" }, option.name),
          element(
            "small",
            {},
            option.reason ? `not published: ${option.reason}` : option.description,
          ),
        ),
      ),
    );
    if (!this.matches.length) {
      const none = { role: "option", "aria-disabled": "true", class: "none" };
      this.list.append(element("li", none, "No measure has that in its name or text."));
    }
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    const chosen = this.matches.findIndex((option) => option.name === this.chosen);
    this.move(words.length ? 0 : chosen);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.input.value = this.chosen;
  }

  move(place) {
    this.list.querySelector(".active")?.classList.remove("active");
    this.active = Math.max(-1, Math.min(place, this.matches.length - 1));
    const item = this.list.children[this.active];
    if (!item || this.active < 0) {
      this.input.removeAttribute("aria-activedescendant");
      return;
    }
    item.classList.add("active");
    item.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", item.id);
  }

  choose(place) {
    const option = this.matches[place];
    if (!option || option.reason) return;
    this.chosen = option.name;
    this.close();
    this.onChoose(option.name);
  }

  onKey(event) {
    const isOpen = !this.list.hidden;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    if (event.key in steps) {
      if (isOpen) this.move(Math.max(0, this.active + steps[event.key]));
      else this.open("");
      event.preventDefault();
    } else if (event.key === "Enter") {
      if (isOpen) this.choose(this.active);
      else this.open("");
      event.preventDefault();
    } else if (event.key === "Escape" && isOpen) {
      this.close();
      event.preventDefault();
    }
  }
}
