// The paragraphs. Each stands in the page as plain text, which the browser finds, prints and reads aloud; those near the
// window have an element for each word, so that a recording of ten hours scrolls as one of ten minutes does.

const blockOfParagraph = new Map(paragraphs.map((paragraph, block) => [paragraph, block]));
const wordElements = new Map();
const blockOfWord = new Int32Array(texts.length).fill(-1);
blocks.forEach((words, block) => words.forEach((word) => (blockOfWord[word] = block)));
const blockStarts = blocks.map((words) => (words.length ? starts[words[0]] : 0));
let hits = new Set();
let nowWords = [];
let current = -1;

function spanOf(block) {
  return paragraphs[block].querySelector(".text");
}

function blockText(block) {
  return joined(blocks[block].map(textOf));
}

function classesOf(word) {
  const classes = ["word"];
  const confidence = confidences ? confidences[word] : null;
  if (corrections.has(word)) classes.push(corrections.get(word) ? "corrected" : "corrected removed");
  else if (confidence !== null && confidence < data.veryDoubtful) classes.push("very-doubtful");
  else if (confidence !== null && confidence < data.doubtful) classes.push("doubtful");
  if (hits.has(word)) classes.push("hit");
  if (nowWords.includes(word)) classes.push("now");
  return classes.join(" ");
}

function paintWord(word) {
  const span = wordElements.get(word);
  if (span) span.className = classesOf(word);
}

function titleOf(word) {
  const confidence = confidences ? confidences[word] : null;
  const said = corrections.has(word) ? `, corrected from "${texts[word]}"` : "";
  return clock(starts[word]) + (confidence === null ? "" : `, ${Math.floor(confidence / 10)} % sure`) + said;
}

function showWords(block) {
  const text = spanOf(block);
  if (text.firstElementChild) return;
  const parts = [];
  let before = "";
  for (const word of blocks[block]) {
    const shown = textOf(word) || (corrections.has(word) ? texts[word] : "");
    if (!shown) continue;
    if (needsSpace(before, shown)) parts.push(" ");
    const span = element("span", { className: classesOf(word), textContent: shown, title: titleOf(word) });
    span.dataset.word = word;
    wordElements.set(word, span);
    parts.push(span);
    before = shown;
  }
  text.replaceChildren(...parts);
}

function showText(block) {
  const text = spanOf(block);
  if (!text.firstElementChild || text.querySelector("input")) return;
  for (const word of blocks[block]) wordElements.delete(word);
  text.replaceChildren(blockText(block));
}

function refreshBlock(block) {
  const hadWords = spanOf(block).firstElementChild !== null;
  for (const word of blocks[block]) wordElements.delete(word);
  spanOf(block).replaceChildren(blockText(block));
  if (hadWords) showWords(block);
}

const nearWindow = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const block = blockOfParagraph.get(entry.target);
      if (entry.isIntersecting) showWords(block);
      else showText(block);
    }
  },
  { rootMargin: "100% 0px" },
);
paragraphs.forEach((paragraph) => nearWindow.observe(paragraph));

/** Make a paragraph the one that the keyboard acts on. `focus`: so that a screen reader reads it. */
function goTo(block, { scroll = true, focus = false } = {}) {
  if (block < 0 || block >= paragraphs.length) return;
  if (current >= 0) paragraphs[current].classList.remove("current");
  current = block;
  paragraphs[block].classList.add("current");
  if (scroll) paragraphs[block].scrollIntoView({ block: "center" });
  if (focus) {
    paragraphs[block].tabIndex = -1;
    paragraphs[block].focus({ preventScroll: true });
  }
}

/** The nearest paragraph that is shown, from one on. */
function goToShown(block, by) {
  while (block in paragraphs && paragraphs[block].hidden) block += by;
  goTo(block, { focus: true });
}

function showWord(word) {
  const block = blockOfWord[word];
  if (block < 0) return;
  if (paragraphs[block].hidden) setShown(blockSpeakers[block], true);
  goTo(block);
  showWords(block);
  const span = wordElements.get(word);
  if (span) span.scrollIntoView({ block: "center" });
}

/** Light the words that sound at a time. */
function lightWordsAt(ms) {
  const sounding = [];
  const last = lastAtMost(starts, ms);
  // Of people who talk at once, several words sound; none is longer than this many words before.
  for (let word = last; word >= 0 && word > last - 16; word--) {
    if (ends[word] > ms || word === last) sounding.push(word);
  }
  const before = nowWords;
  if (before.length === sounding.length && before.every((word, at) => word === sounding[at])) return false;
  nowWords = sounding;
  for (const word of [...before, ...sounding]) paintWord(word);
  return sounding.length > 0;
}
