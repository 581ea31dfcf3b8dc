// Who speaks: whose paragraphs are shown, and names that a person types. Names stay in this browser until they are
// downloaded; downloads have every paragraph, whatever is shown.

const namesKey = `dropscribe-names:${transcriptKey}`;
const blockSpeakers = blocks.map((words) => (words.length ? speakerOf(words[0]) : null));
/** The numbers of those who say something, null behind them where some of it is nobody's. */
const people = [...new Set(blockSpeakers)].sort((one, other) => (one ?? Infinity) - (other ?? Infinity));
const hasSpeakers = people.some((person) => person !== null);
const hiddenPeople = new Set();
const controls = new Map();
const mostNamed = 5; // In the line that says who is hidden.

// What is hidden is said where a screen reader hears it and where it is printed.
const hiddenNote = element("div", { className: "hidden-people", lang: "en", dir: "ltr" });
hiddenNote.setAttribute("role", "status");

function personName(person) {
  return person === null ? "unknown speaker" : speakerName(person);
}

function keepNames() {
  isUnsaved = true;
  try {
    localStorage.setItem(namesKey, JSON.stringify([...typedNames]));
  } catch {
    // As of corrections: the download still has them.
  }
}

function loadNames() {
  try {
    for (const [speaker, name] of JSON.parse(localStorage.getItem(namesKey) || "[]")) {
      if (people.includes(speaker) && typeof name === "string" && visible(name)) typedNames.set(speaker, visible(name));
    }
  } catch {
    return;
  }
  for (const speaker of typedNames.keys()) showName(speaker);
}

/** An empty name brings back the one that came with the transcript. */
function rename(speaker, typed) {
  const name = visible(typed);
  if (name !== speakerName(speaker)) {
    if (name && name !== givenName(speaker)) typedNames.set(speaker, name);
    else typedNames.delete(speaker);
    keepNames();
  }
  showName(speaker);
}

/** Write a speaker's name wherever it stands. */
function showName(speaker) {
  const name = speakerName(speaker);
  blockSpeakers.forEach((one, block) => {
    if (one === speaker) paragraphs[block].querySelector(".speaker bdi").textContent = `${name}:`;
  });
  for (const each of document.querySelectorAll(`[data-speaker="${speaker}"]`)) each.textContent = name;
  // Who is called otherwise is not called by the kept voice.
  const byVoice = document.querySelector(`[data-named-by-voice="${speaker}"]`);
  if (byVoice) byVoice.hidden = typedNames.has(speaker);
  showRow(speaker);
  showHidden();
}

function showRow(person) {
  const { shown, field, only } = controls.get(person);
  const name = personName(person);
  shown.checked = !hiddenPeople.has(person);
  shown.setAttribute("aria-label", `Show ${name}`);
  only.setAttribute("aria-label", `Only ${name}`);
  if (field) field.value = name;
}

function namesOf(some) {
  return some.flatMap((person) => [", ", element("bdi", { textContent: personName(person) })]).slice(1);
}

function showHidden() {
  const hidden = people.filter((person) => hiddenPeople.has(person));
  const shown = people.filter((person) => !hiddenPeople.has(person));
  let names = namesOf(hidden);
  if (hidden.length > mostNamed) names = [`${hidden.length} of ${people.length}`];
  if (hidden.length > mostNamed && shown.length <= mostNamed) names = shown.length ? ["all but ", ...namesOf(shown)] : ["all"];
  const count = blockSpeakers.filter((person) => hiddenPeople.has(person)).length;
  hiddenNote.replaceChildren();
  if (hidden.length) hiddenNote.append("Hidden: ", ...names, ` (${count} of ${blocks.length} paragraphs). Downloads have all.`);
}

/** Hide the paragraphs of these people and show all others; what was read stays in sight. */
function hide(hidden) {
  const top = paragraphs.findIndex((one) => !one.hidden && one.getBoundingClientRect().bottom > tools.offsetHeight);
  hiddenPeople.clear();
  for (const person of hidden) hiddenPeople.add(person);
  blockSpeakers.forEach((person, block) => (paragraphs[block].hidden = hiddenPeople.has(person)));
  people.forEach(showRow);
  showHidden();
  search();
  const next = paragraphs.find((one, block) => block >= top && !one.hidden);
  if (top > 0 && next) next.scrollIntoView({ block: "start" });
}

function setShown(person, isShown) {
  hide(people.filter((one) => (one === person ? !isShown : hiddenPeople.has(one))));
}

/** Go to the next paragraph of whom the current one is, or the one before. */
function goToSame(by) {
  if (current < 0) return;
  for (let block = current + by; block in blocks; block += by) {
    if (blockSpeakers[block] === blockSpeakers[current]) return goTo(block, { focus: true });
  }
}

function openPeople() {
  peopleMenu.open = true;
  controls.get(people[0]).shown.focus();
}

function openName(speaker) {
  if (speaker === null) return;
  peopleMenu.open = true;
  controls.get(speaker).field.focus();
  controls.get(speaker).field.select();
}

function nameField(speaker) {
  const field = element("input", { type: "text", maxLength: 80, className: `speaker${speaker % 4}`, autocomplete: "off" });
  field.setAttribute("aria-label", `Name of speaker ${speaker}`);
  field.addEventListener("change", () => rename(speaker, field.value));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") rename(speaker, field.value);
    if (event.key === "Escape") field.value = speakerName(speaker);
  });
  return field;
}

function rowOf(person) {
  const shown = element("input", { type: "checkbox" });
  const only = element("button", { type: "button", textContent: "Only" });
  const field = person === null ? null : nameField(person);
  shown.addEventListener("change", () => setShown(person, shown.checked));
  only.addEventListener("click", () => hide(people.filter((one) => one !== person)));
  controls.set(person, { shown, field, only });
  return element("div", { className: "person" }, shown, field ?? element("span", { textContent: "Unknown" }), only);
}

const everybody = element("button", { type: "button", textContent: "Show all" });
everybody.addEventListener("click", () => hide([]));
const peopleList = element("div", { className: "people" }, ...people.map(rowOf), everybody);
peopleList.setAttribute("role", "group");
peopleList.setAttribute("aria-label", "Who is shown, and names");
const peopleMenu = element("details", {}, element("summary", { textContent: "Speakers", title: "Who is shown, and names (s)" }), peopleList);

people.forEach(showRow);
for (const name of document.querySelectorAll("main .speaker")) name.title = "Name this speaker (r)";
document.querySelector("main").addEventListener("click", (event) => {
  if (!event.target.closest(".speaker")) return;
  event.stopPropagation(); // A click outside of a menu closes it.
  openName(blockSpeakers[blockOfParagraph.get(event.target.closest("p"))]);
});
