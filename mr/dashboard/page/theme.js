/* Light or dark, before anything is drawn: as the system says, or as was chosen here. */
"use strict";

const THEME_KEY = "telemetry-theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

/** What was chosen here, "light" or "dark"; null if nothing was, or storage is forbidden. */
function chosenTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null;
  }
}

/** "light" or "dark". */
function currentTheme() {
  return document.documentElement.dataset.theme;
}

/** Change the theme, and remember it where the browser lets us. */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // Then it lasts as long as the page.
  }
}

/** Take the theme that was chosen, or else the system's. */
function followTheme() {
  const chosen = chosenTheme();
  const isChosen = chosen === "light" || chosen === "dark";
  document.documentElement.dataset.theme = isChosen
    ? chosen
    : systemIsDark.matches
      ? "dark"
      : "light";
}

followTheme();
