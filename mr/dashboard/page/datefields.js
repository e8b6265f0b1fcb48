/* The two fields of dates: a date counts once it is typed, not while it is. */
"use strict";

/**
 * A field for a date. `onChoose(day)` hears of a day (YYYYMMDD, or "" for none) when a person
 * leaves the field, presses Enter, or takes a day from the calendar.
 */
class DateField {
  constructor(input, onChoose) {
    Object.assign(this, { input, onChoose, shown: "", isTyped: false, isTouched: false });
    input.addEventListener("keydown", (event) => {
      this.isTyped = true;
      if (event.key === "Enter") this.take();
    });
    input.addEventListener("pointerdown", () => {
      this.isTyped = false;
    });
    input.addEventListener("input", () => {
      this.isTouched = true;
    });
    input.addEventListener("change", () => {
      if (!this.isTyped) this.take();
    });
    input.addEventListener("blur", () => {
      this.take();
      // What was no date is not to stand there as if it had been taken.
      this.input.value = this.shown;
    });
  }

  /** Show a day, or "" for none; what a person is typing stays. */
  update(day) {
    this.shown = day && dashed(day);
    if (document.activeElement !== this.input) this.input.value = this.shown;
  }

  take() {
    const { value, validity } = this.input;
    const day = value.replaceAll("-", "");
    const isGood = day ? parseDay(day) : !validity.badInput;
    if (!this.isTouched || !isGood || value === this.shown) return;
    this.isTouched = false;
    this.shown = value;
    this.onChoose(day);
  }
}
