// Search in what is shown, corrections included. A hit may span several words.

const query = element("input", { type: "search", placeholder: "Search", title: "Search (/)" });
const found = element("output", {});
const previousHit = element("button", { type: "button", textContent: "↑", title: "Previous (shift + n)" });
const nextHit = element("button", { type: "button", textContent: "↓", title: "Next (n)" });
let hitWords = [];
let hitAt = -1;

query.setAttribute("aria-label", "Search");
previousHit.setAttribute("aria-label", "Previous result");
nextHit.setAttribute("aria-label", "Next result");

/** The words of each place in a block where `wanted` stands. */
function hitsIn(block, wanted) {
  const found = [];
  if (paragraphs[block].hidden) return found;
  const text = blockText(block).toLocaleLowerCase();
  let at = text.indexOf(wanted);
  if (at < 0) return found;
  // Where each word ends in the lower-case text, whose length may differ from the text's.
  const spans = [];
  let before = "";
  let length = 0;
  for (const word of blocks[block]) {
    const shown = textOf(word);
    if (!shown) continue;
    if (needsSpace(before, shown)) length += 1;
    spans.push([length, (length += shown.toLocaleLowerCase().length), word]);
    before = shown;
  }
  for (; at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
    const words = spans.filter(([from, to]) => from < at + wanted.length && to > at).map(([, , word]) => word);
    if (words.length) found.push(words);
  }
  return found;
}

function search() {
  const before = hits;
  const wanted = query.value.trim().toLocaleLowerCase();
  hitWords = wanted ? blocks.flatMap((_, block) => hitsIn(block, wanted)) : [];
  hits = new Set(hitWords.flat());
  for (const word of new Set([...before, ...hits])) paintWord(word);
  hitAt = -1;
  showCount();
}

function showCount() {
  if (!query.value.trim()) found.textContent = "";
  else found.textContent = hitWords.length ? `${hitAt + 1} of ${hitWords.length}` : "Not found";
}

function goToHit(step) {
  if (!hitWords.length) return;
  hitAt = hitAt < 0 ? (step > 0 ? 0 : hitWords.length - 1) : (hitAt + step + hitWords.length) % hitWords.length;
  lastScrolled = Date.now();
  showWord(hitWords[hitAt][0]);
  showCount();
}

query.addEventListener("input", search);
query.addEventListener("keydown", (event) => {
  if (event.key === "Enter") goToHit(event.shiftKey ? -1 : 1);
  if (event.key === "Escape") {
    query.value = "";
    search();
    query.blur();
  }
});
previousHit.addEventListener("click", () => goToHit(-1));
nextHit.addEventListener("click", () => goToHit(1));
