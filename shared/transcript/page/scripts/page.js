// The tools above the text, the keyboard, and what happens when the page opens.

const keys = [
  ["space", "play or pause", togglePlaying],
  ["←", "5 seconds back", () => seek(positionMs() - 5000), "ArrowLeft"],
  ["→", "5 seconds on", () => seek(positionMs() + 5000), "ArrowRight"],
  ["j", "next paragraph", () => goToShown(current + 1, 1)],
  ["k", "paragraph before", () => goToShown(Math.max(0, current - 1), -1)],
  ["enter", "play the paragraph", playParagraph, "Enter"],
  ["d", "next doubtful word", nextDoubtfulWord],
  ["/", "search", () => query.focus()],
  ["n", "next result", () => goToHit(1)],
  ["N", "previous result", () => goToHit(-1)],
  ["e", "correct words: click one", () => setCorrecting(!isCorrecting)],
  ["u", "undo a correction", undo],
  ...(hasSpeakers
    ? [
        ["s", "who is shown, and names", openPeople],
        ["r", "name who speaks here", () => openName(current < 0 ? people[0] : blockSpeakers[current])],
        ["m", "next paragraph of the same speaker", () => goToSame(1)],
        ["M", "the one before", () => goToSame(-1)],
      ]
    : []),
];

function playParagraph() {
  if (current < 0 || paragraphs[current].hidden) return;
  seek(blockStarts[current]);
  if (audio.src) play();
}

function nextDoubtfulWord() {
  if (!confidences) return;
  const from = current < 0 || !blocks[current].length ? 0 : blocks[current][blocks[current].length - 1] + 1;
  for (let word = from; word < texts.length; word++) {
    const isDoubtful = confidences[word] !== null && confidences[word] < data.doubtful && !corrections.has(word);
    if (isDoubtful && blockOfWord[word] >= 0 && !paragraphs[blockOfWord[word]].hidden) return showWord(word);
  }
}

const help = element(
  "details",
  {},
  element("summary", { textContent: "Keys" }),
  element("div", {}, element("dl", { className: "keys" }, ...keys.flatMap(([key, what]) => [
    element("dt", {}, element("kbd", { textContent: key })),
    element("dd", { textContent: what }),
  ]))),
);
const menus = [...(hasSpeakers ? [peopleMenu] : []), downloads, help];
const tools = element("div", {}, query, found, previousHit, nextHit, correctButton, ...menus);
document.querySelector("main").before(element("nav", { className: "tools", ariaLabel: "Tools" }, tools), hiddenNote);

document.querySelector("main").addEventListener("click", (event) => {
  const span = event.target.closest(".word");
  if (!span || event.target.closest("input") || String(getSelection())) return;
  const word = Number(span.dataset.word);
  goTo(blockOfWord[word], { scroll: false });
  if (isCorrecting) edit(word);
  else {
    seek(starts[word]);
    if (audio.src) play();
  }
});

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  // A button in focus takes these keys itself.
  if (event.target.closest("button, summary") && [" ", "Enter"].includes(event.key)) return;
  const key = event.key === " " ? "space" : event.key;
  const [, , act] = keys.find(([name, , , code]) => (code || name) === key) || [];
  if (!act) return;
  event.preventDefault();
  act();
});

for (const menu of menus) {
  addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

loadCorrections();
loadNames();
const given = addressInHash();
if (given) loadAudio(given, "");
else hint.textContent = "Click a word to hear it.";
showPosition();
