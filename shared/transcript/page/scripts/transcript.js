// The transcript as the page holds it: arrays by word, and what a person corrected. Times in milliseconds.

const data = JSON.parse(document.getElementById("data").textContent);
const about = data.transcript;
const starts = added(unpackedSigned(data.starts));
const ends = unpackedSigned(data.lengths).map((length, at) => starts[at] + length);
const speakers = data.speakers && eachOfRuns(data.speakers);
const wordCues = added(unpackedSigned(data.wordCues));
const confidences = data.confidences && unpacked(data.confidences).map((known) => (known ? known - 1 : null));
if (data.loudness) about.loudness = unpacked(data.loudness).map((level) => level + data.quietest);
const durationMs = Math.round(about.duration * 1000);
const gaps = about.coverage.gaps || [];

const paragraphs = Array.from(document.querySelectorAll("main > p")).filter((one) => one.querySelector(".text"));
const blocks = (data.blocks || data.paragraphs).map(wordsOfBlock);
const texts = data.texts || textsInPage();

/** Where a browser keeps what a person typed. A later run of the job has other words, and counts its speakers anew. */
const transcriptKey = `${about.job_id}:${fingerprint(JSON.stringify([texts, speakers]))}`;

/** Word -> its text as a person corrected it; empty: removed. */
const corrections = new Map();
/** Speaker's number -> the name that a person typed. */
const typedNames = new Map();

/** FNV-1a. */
function fingerprint(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(16);
}

function added(deltas) {
  let sum = 0;
  return deltas.map((delta) => (sum += delta));
}

function eachOfRuns(runs) {
  return runs.flatMap(([value, count]) => Array(count).fill(value));
}

/** The words, cut from the paragraphs by their lengths. */
function textsInPage() {
  const lengths = unpacked(data.textLengths);
  const found = lengths.map(() => "");
  blocks.forEach((words, block) => {
    const text = paragraphs[block].querySelector(".text").textContent;
    let at = 0;
    for (const word of words) {
      if (lengths[word] && text[at] === " ") at += 1;
      found[word] = text.slice(at, (at += lengths[word]));
    }
  });
  return found;
}

function textOf(word) {
  return corrections.has(word) ? corrections.get(word) : texts[word];
}

function speakerOf(word) {
  return speakers ? speakers[word] : null;
}

/** The words of a segment: those of its speaker in its range. */
function wordsOf([first, last, , speaker]) {
  const inside = [];
  for (let word = first; word <= last; word++) if (speakerOf(word) === speaker) inside.push(word);
  return inside;
}

function wordsOfBlock([firstSegment, lastSegment]) {
  return data.segments.slice(firstSegment, lastSegment + 1).flatMap(wordsOf);
}

function isIn(character, ranges) {
  const code = character.codePointAt(0);
  return ranges.some(([first, last]) => first <= code && code <= last);
}

/** As shared/transcript/spacing.py, whose ranges the page carries. */
function needsSpace(before, after) {
  if (!before || !after) return false;
  const left = Array.from(before).pop();
  const right = Array.from(after)[0];
  if (left < "\u0e00" && right < "\u0e00") return true;
  if (isIn(left, data.spacing.east) || isIn(right, data.spacing.east)) return false;
  return !(isIn(left, data.spacing.southEast) && isIn(right, data.spacing.southEast));
}

function joined(parts) {
  let text = "";
  let before = "";
  for (const part of parts) {
    if (!part) continue;
    text += (needsSpace(before, part) ? " " : "") + part;
    before = part;
  }
  return text;
}

/** As shared/transcript/display.py: one line, without what nobody sees. */
function visible(text) {
  const line = text.replace(/[\t-\r\x1c-\x1f\x85\p{Z}]+/gu, " ").replace(/\p{Cc}/gu, "");
  return /^[\p{Cf}\p{Z}]*$/u.test(line) ? "" : line.replace(/ +/g, " ").trim();
}

/** The name that came with the transcript. */
function givenName(speaker) {
  const known = (about.speakers ?? []).find((one) => one.number === speaker);
  return visible(known ? known.name : "") || `Speaker ${speaker}`;
}

function speakerName(speaker) {
  return typedNames.get(speaker) ?? givenName(speaker);
}

/** The last place in `sorted` whose value is at most `value`; -1 where none is. */
function lastAtMost(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
