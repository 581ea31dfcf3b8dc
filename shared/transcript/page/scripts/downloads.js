// The transcript with its corrections and typed names as files, in the forms that Dropscribe stores beside this page.

/** What is written of each word: [word, text, start, end]. A correction of several words shares its time by length. */
function writtenWords() {
  return texts.flatMap((_, word) => {
    const parts = textOf(word).split(/\s+/).filter(Boolean);
    if (!corrections.has(word)) return parts.length ? [[word, texts[word], starts[word], ends[word]]] : [];
    const letters = parts.reduce((sum, part) => sum + part.length, 0);
    let at = starts[word];
    return parts.map((part) => {
      const from = at;
      at += Math.round(((ends[word] - starts[word]) * part.length) / letters);
      return [word, part, from, Math.min(at, ends[word])];
    });
  });
}

function asTranscript() {
  const written = writtenWords();
  const places = texts.map(() => []);
  written.forEach(([word], at) => places[word].push(at));
  const words = written.map(([word, text, start, end]) => {
    const made = { text, start: start / 1000, end: end / 1000 };
    if (!corrections.has(word) && confidences && confidences[word] !== null) made.confidence = confidences[word] / 1000;
    if (speakerOf(word) !== null) made.speaker = speakerOf(word);
    return made;
  });
  const languages = data.languages && eachOfRuns(data.languages);
  const comparedWith = data.comparedWith && eachOfRuns(data.comparedWith);
  const segments = [];
  const kept = new Map();
  data.segments.forEach((segment, number) => {
    const inside = wordsOf(segment).flatMap((word) => places[word]);
    if (!inside.length) return;
    kept.set(number, segments.length);
    const [, , engine, speaker] = segment;
    const made = {
      start: words[inside[0]].start,
      end: words[inside[inside.length - 1]].end,
      text: joined(inside.map((at) => words[at].text)),
      first_word: inside[0],
      last_word: inside[inside.length - 1],
      engine: data.engines[engine],
    };
    if (speaker !== null) made.speaker = speaker;
    if (languages && languages[number] !== null) made.language = languages[number];
    if (comparedWith && comparedWith[number] !== null) made.compared_with = comparedWith[number];
    segments.push(made);
  });
  const paragraphs = data.paragraphs.flatMap(([first, last]) => {
    const inside = [];
    for (let number = first; number <= last; number++) if (kept.has(number)) inside.push(kept.get(number));
    if (!inside.length) return [];
    const [from, to] = [inside[0], inside[inside.length - 1]];
    const made = {
      start: segments[from].start,
      end: segments[to].end,
      text: joined(inside.map((number) => segments[number].text)),
      first_segment: from,
      last_segment: to,
    };
    if ("speaker" in segments[from]) made.speaker = segments[from].speaker;
    return [made];
  });
  return { ...about, ...namedSpeakers(), text: joined(segments.map((segment) => segment.text)), words, segments, paragraphs };
}

/** The speakers as a person named them; nothing where nobody did. Who was told apart by channel is not listed before. */
function namedSpeakers() {
  if (!typedNames.size) return {};
  const known = new Map((about.speakers ?? []).map((one) => [one.number, one]));
  for (const number of people) {
    if (number === null || (known.has(number) && !typedNames.has(number))) continue;
    const seconds = known.has(number) ? known.get(number).seconds : spokenSeconds(number);
    known.set(number, { number, name: speakerName(number), seconds });
  }
  return { speakers: [...known.values()].sort((one, other) => one.number - other.number) };
}

function spokenSeconds(speaker) {
  return texts.reduce((sum, _, word) => (speakerOf(word) === speaker ? sum + ends[word] - starts[word] : sum), 0) / 1000;
}

/** Paragraphs and gaps in the order of the page: [text, start, speaker], a gap without start. */
function readingOrder() {
  return Array.from(document.querySelectorAll("main > p"), (paragraph) => {
    const block = blockOfParagraph.get(paragraph);
    if (block === undefined) return [paragraph.textContent, null, null];
    return [blockText(block), blockStarts[block], blocks[block].length ? speakerOf(blocks[block][0]) : null];
  }).filter(([text]) => text);
}

function asText() {
  const named = ([text, , speaker]) => (speaker === null ? text : `${speakerName(speaker)}: ${text}`);
  return readingOrder().map((part) => named(part) + "\n").join("\n");
}

function asCsv() {
  const isFormula = new RegExp(`^(?:${data.formula})`, "u");
  const isHarmless = new RegExp(`^(?:${data.harmlessFormula})$`, "u");
  const cell = (text) => {
    const safe = isFormula.test(text) && !isHarmless.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const decimal = (ms) => (ms / 1000).toFixed(3);
  const speakerCells = (speaker) => (speaker === null ? ["", ""] : [speaker, cell(speakerName(speaker))]);
  const rows = writtenWords().map(([word, text, start, end]) =>
    [decimal(start), decimal(end), cell(text), ...(speakers ? speakerCells(speakerOf(word)) : [])].join(),
  );
  return [["start_time", "end_time", "word", ...(speakers ? ["speaker", "speaker_name"] : [])].join(), ...rows, ""].join("\r\n");
}

/** Lines of at most `data.columns`, as even as they can be. */
function lines(text) {
  const words = text.split(" ");
  const filled = (columns) => {
    const made = [];
    for (const word of words) {
      const last = made[made.length - 1];
      if (last !== undefined && last.length + 1 + word.length <= columns) made[made.length - 1] = `${last} ${word}`;
      else made.push(word);
    }
    return made;
  };
  const widest = filled(data.columns);
  for (let columns = Math.ceil(text.length / widest.length); columns < data.columns; columns++) {
    if (filled(columns).length === widest.length) return filled(columns);
  }
  return widest;
}

/** The cues that Dropscribe cut, with the corrected words in each: [start, end, [[speaker, lines]]]. */
function cues() {
  const cueStarts = added(unpackedSigned(data.cueStarts));
  const cueLengths = unpackedSigned(data.cueLengths);
  const turns = cueStarts.map(() => new Map());
  texts.forEach((_, word) => {
    const cue = turns[wordCues[word]];
    if (!cue || !textOf(word)) return;
    const speaker = speakerOf(word);
    cue.set(speaker, [...(cue.get(speaker) || []), textOf(word)]);
  });
  return cueStarts.flatMap((start, cue) => {
    if (!turns[cue].size) return [];
    const said = [...turns[cue]].map(([speaker, words]) => [speaker, lines(joined(words))]);
    return [[start, start + cueLengths[cue], said]];
  });
}

function cueClock(ms, mark) {
  return clock(ms) + mark + String(ms % 1000).padStart(3, "0");
}

/** Of several who talk at once, each has a dash. */
function dashed(said, lineOf) {
  return said.flatMap(([speaker, lines]) => {
    const shown = lines.map((line) => line);
    if (said.length > 1) shown[0] = `- ${shown[0]}`;
    return lineOf(speaker, shown);
  });
}

function asSrt() {
  const wide = (line) =>
    line
      .replace(/[<>{}\\]/g, (mark) => String.fromCharCode(mark.charCodeAt(0) + 0xfee0))
      .replace(/&(?=#?\w+;)/g, "\uff06");
  return cues()
    .map(([start, end, said], at) => {
      const text = dashed(said, (_, lines) => lines.map(wide)).join("\n");
      return `${at + 1}\n${cueClock(start, ",")} --> ${cueClock(end, ",")}\n${text}\n\n`;
    })
    .join("");
}

function asVtt() {
  const escaped = (line) =>
    line.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\\", "&#92;");
  const voiced = (speaker, lines) => {
    const safe = lines.map(escaped);
    if (speaker === null) return safe;
    // A name that ends with two dashes would make an arrow with the tag's end, and that begins a cue.
    safe[0] = `<v ${escaped(speakerName(speaker)).replace(/-$/, "&#45;")}>${safe[0]}`;
    safe[safe.length - 1] += "</v>";
    return safe;
  };
  const written = cues().map(
    ([start, end, said], at) =>
      `${at + 1}\n${cueClock(start, ".")} --> ${cueClock(end, ".")}\n${dashed(said, voiced).join("\n")}\n\n`,
  );
  return `WEBVTT\n\n${written.join("")}`;
}

const forms = [
  ["TXT", "txt", "text/plain", asText],
  ["SRT", "srt", "application/x-subrip", asSrt],
  ["VTT", "vtt", "text/vtt", asVtt],
  ["CSV (words)", "csv", "text/csv", asCsv],
  ["JSON (transcript.json)", "json", "application/json", () => JSON.stringify(asTranscript())],
  ["DOCX", "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", asDocx],
];

function download(extension, type, made) {
  const link = element("a", { href: URL.createObjectURL(new Blob([made], { type })), download: `transcript.${extension}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  if (extension === "json") isUnsaved = false;
}

const menu = element("div", {});
for (const [name, extension, type, make] of forms) {
  const button = element("button", { type: "button", textContent: name });
  button.addEventListener("click", () => download(extension, type, make()));
  menu.append(button);
}
const downloads = element("details", {}, element("summary", { textContent: "Download" }), menu);
