// The drop zone, and jobs from the first byte of an upload to the link to its transcript.

const live = document.getElementById("live");
const list = document.getElementById("uploads");
const zone = document.getElementById("drop");
const connection = document.getElementById("connection");
const AT_ONCE = 3; // uploads; a browser opens six connections to one server
const waiting = [];
let running = 0;
let ended = null;

/** Rows by job, and those of uploads that are no job yet by their own object. */
const rows = new Map();

function rowFor(key) {
  if (!rows.has(key)) {
    const row = {
      name: element("bdi", { className: "name" }),
      bar: element("progress", { max: 1, value: 0 }),
      says: element("span"),
      link: element("span"),
    };
    row.item = element("li", {}, row.name, row.bar, row.says, row.link);
    rows.set(key, row);
    list.prepend(row.item);
  }
  return rows.get(key);
}

function show(key, { name, says, share, failed }) {
  const row = rowFor(key);
  row.name.textContent = printable(name);
  row.bar.setAttribute("aria-label", `Progress of ${printable(name)}`);
  row.bar.value = share;
  row.says.textContent = printable(says);
  row.says.className = failed ? "failed" : "";
  return row;
}

function showJob(job) {
  const row = show(job.id, job);
  row.bar.hidden = job.done;
  if (!job.hasTranscript || row.link.firstElementChild) return;
  const recording = `${location.origin}/jobs/${job.id}/recording`;
  const address = `/jobs/${job.id}/transcript.html#audio=${encodeURIComponent(recording)}`;
  const link = element("a", { href: address, textContent: "Transcript", target: "_blank", rel: "noopener" });
  link.setAttribute("aria-label", `Transcript of ${printable(job.name)}`);
  row.link.append(link);
}

function add(files) {
  for (const [file, path] of files) {
    const key = {};
    show(key, { name: path, says: "waiting to be uploaded", share: 0 });
    waiting.push([key, file, path]);
  }
  uploadNext();
}

function uploadNext() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    upload(...waiting.shift());
  }
}

function upload(key, file, path) {
  const request = new XMLHttpRequest();
  const fails = (why) => show(key, { name: path, says: `not uploaded: ${why}`, share: 0, failed: true });
  request.open("POST", `/uploads?name=${encodeURIComponent(path)}`);
  request.setRequestHeader("X-Dropscribe-Token", live.dataset.token);
  request.responseType = "json";
  request.upload.onprogress = ({ loaded, total }) =>
    show(key, { name: path, says: `uploading ${Math.floor((100 * loaded) / total)}%`, share: loaded / total });
  request.onload = () => {
    if (request.status !== 200) return fails((request.response && request.response.error) || `error ${request.status}`);
    const { id, name } = request.response;
    const row = rows.get(key);
    rows.delete(key);
    if (rows.has(id)) row.item.remove(); // its job was shown before this answer came
    else {
      rows.set(id, row);
      show(id, { name, says: "uploaded", share: 0 });
    }
  };
  request.onerror = () => fails("the connection broke, or the file cannot be read");
  request.onloadend = () => {
    running -= 1;
    uploadNext();
  };
  request.send(file);
}

/** What was dropped, with the files in folders: [file, path]. */
async function dropped(transfer) {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  if (!entries.length) return Array.from(transfer.files, (file) => [file, file.name]);
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry) {
  const answer = (ask) => new Promise((resolve, reject) => ask(resolve, reject));
  if (entry.isFile) return [[await answer((resolve, reject) => entry.file(resolve, reject)), entry.fullPath.slice(1)]];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A hundred at a time.
    const some = await answer((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return (await Promise.all(found.map(filesIn))).flat();
    found.push(...some.filter((one) => !one.name.startsWith(".")));
  }
}

/** The report anew, after a job has ended. What was typed into its table stays. */
async function refreshReport() {
  const answer = await fetch("/");
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const report = document.adoptNode(page.getElementById("report"));
  document.getElementById("report").replaceWith(report);
  showJobs(report);
}

zone.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("over");
});
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", async (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  add(await dropped(event.dataTransfer));
});
zone.querySelector("input").addEventListener("change", (event) => {
  add(Array.from(event.target.files, (file) => [file, file.name]));
  event.target.value = "";
});

const events = new EventSource("/events");
events.addEventListener("jobs", ({ data }) => {
  const jobs = JSON.parse(data);
  for (const job of jobs.toReversed()) showJob(job);
  const now = jobs.filter((job) => job.done).length;
  if (ended !== null && now !== ended) refreshReport();
  ended = now;
});
events.addEventListener("open", () => (connection.textContent = ""));
events.addEventListener("error", () => (connection.textContent = "No connection: is dropscribe up still running?"));
