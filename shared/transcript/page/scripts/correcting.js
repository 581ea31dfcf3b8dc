// Corrections, word by word. They stay in this browser until they are downloaded as a transcript.json.

const correctButton = element("button", { type: "button", textContent: "Correct", title: "Correct words (e)" });
const storageKey = `dropscribe-corrections:${transcriptKey}`;
const undoable = [];
let isCorrecting = false;
let isUnsaved = false;

correctButton.setAttribute("aria-pressed", "false");

function setCorrecting(on) {
  isCorrecting = on;
  correctButton.setAttribute("aria-pressed", String(on));
  document.body.classList.toggle("correcting", on);
}

function keepCorrections() {
  isUnsaved = true;
  try {
    localStorage.setItem(storageKey, JSON.stringify([...corrections]));
  } catch {
    // No storage for pages from a disk, or it is full: the download still has them.
  }
}

function loadCorrections() {
  try {
    for (const [word, text] of JSON.parse(localStorage.getItem(storageKey) || "[]")) {
      if (Number.isInteger(word) && word in texts && typeof text === "string") corrections.set(word, text);
    }
  } catch {
    return;
  }
  new Set([...corrections.keys()].map((word) => blockOfWord[word])).forEach((block) => block >= 0 && refreshBlock(block));
}

function correct(word, text) {
  const clean = text.trim().replace(/\s+/g, " ");
  if (clean === textOf(word)) return;
  undoable.push([word, corrections.get(word)]);
  if (clean === texts[word]) corrections.delete(word);
  else corrections.set(word, clean);
  keepCorrections();
  search();
}

function undo() {
  const last = undoable.pop();
  if (!last) return;
  const [word, before] = last;
  if (before === undefined) corrections.delete(word);
  else corrections.set(word, before);
  keepCorrections();
  refreshBlock(blockOfWord[word]);
  showWord(word);
}

/** Put a field in the word's place. Enter and Tab keep what is typed, Tab goes on to the next word, Escape drops it. */
function edit(word) {
  const block = blockOfWord[word];
  showWords(block);
  const span = wordElements.get(word);
  if (!span || span.querySelector("input")) return;
  const field = element("input", { value: textOf(word), size: Math.max(4, texts[word].length + 2), spellcheck: true });
  field.setAttribute("aria-label", `Correct "${texts[word]}"`);
  let isDone = false;
  const done = (keep, next) => {
    if (isDone) return;
    isDone = true;
    if (keep) correct(word, field.value);
    refreshBlock(block);
    if (next !== undefined && next in texts) edit(next);
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") done(true);
    else if (event.key === "Escape") done(false);
    else if (event.key === "Tab") {
      event.preventDefault();
      const inBlock = blocks[block];
      done(true, inBlock[inBlock.indexOf(word) + (event.shiftKey ? -1 : 1)]);
    }
  });
  field.addEventListener("blur", () => done(true));
  span.replaceChildren(field);
  field.focus();
  field.select();
}

correctButton.addEventListener("click", () => setCorrecting(!isCorrecting));
addEventListener("beforeunload", (event) => isUnsaved && event.preventDefault());
