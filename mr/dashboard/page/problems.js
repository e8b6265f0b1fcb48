/* What can go wrong, as sentences for the person; and how they are shown. */
"use strict";

/** What a person can understand, and perhaps mend; its message is a sentence. */
class Problem extends Error {}

/** What another choice mends, and no other try. */
class ChoiceProblem extends Problem {}

/** The sentence of any error. */
function sentenceOf(error) {
  if (error instanceof Problem) return error.message;
  console.error(error);
  return `The page itself has failed (${error.message}). Please report this with the link above.`;
}

/** Show these errors, each once, with a way to try again. */
function showProblems(errors, retry) {
  const place = document.getElementById("problems");
  const sentences = [...new Set(errors.map(sentenceOf))];
  place.replaceChildren(
    ...sentences.map((sentence) => element("p", { class: "problem" }, sentence)),
  );
  if (errors.some((error) => !(error instanceof ChoiceProblem))) {
    const again = element("button", { type: "button" }, "Try again");
    again.addEventListener("click", retry);
    place.append(again);
  }
}
