/* Class names as typed -> classes and what is wrong with them: the rules of llmseg/names.py, for the text box.

   Not here: how it is shown (class_box.js). A test runs both over one table of cases. */

import { say } from "./words.js";

const CLASS_LIMIT = 10_000;
const NAME_LIMIT = 100; // characters

// What Python calls a line break and white space; JavaScript's own lists are other ones.
const LINE_BREAK = /\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/u;
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACES = new RegExp(`[${SPACE}]+`, "u");
const COMMENT = new RegExp(`^[${SPACE}]*#`, "u");
const SENSE = new RegExp(`^([^()]*[^()${SPACE}])[${SPACE}]*\\(([^()]+)\\)$`, "u");
const LONE_SURROGATE = /[\ud800-\udfff]/gu; // with the flag u, pairs are one letter and do not match

/** Normalise Unicode, turn underscores into spaces, collapse white space. */
export function cleanPhrase(text) {
  const written = text.replace(LONE_SURROGATE, "").normalize("NFKC").replaceAll("_", " ");
  return written.split(SPACES).filter(Boolean).join(" ");
}

/** What two names are compared by: one is the other's double where these are equal. */
export function foldCase(text) {
  // Letter by letter: in a word, the last sigma would become another letter. There and back: ß is ss.
  return Array.from(text, (letter) => (letter === "ı" ? letter : letter.toLowerCase().toUpperCase().toLowerCase())).join("");
}

/** Read a text: {classes: [{name, aliases, sense}], collisions: [wording], problems: [sentence]}. */
export function parseNames(text) {
  const lines = String(text).normalize("NFKC").split(LINE_BREAK).filter((line) => !COMMENT.test(line));
  const classes = [];
  for (const entry of lines.flatMap((line) => line.split(/[,;、]/u))) {
    const wordings = entry.split("|").map(cleanPhrase).filter(Boolean);
    if (wordings.length) classes.push(readClass(wordings));
  }
  const collisions = findCollisions(classes);
  return { classes, collisions, problems: [...findLimits(classes), ...collisions.map((name) => say("“{0}” stands twice", name))] };
}

function readClass(wordings) {
  const match = SENSE.exec(wordings[0]);
  const [name, sense] = match ? [match[1], match[2].split(SPACES).filter(Boolean).join(" ")] : [wordings[0], ""];
  return { name, aliases: wordings.slice(1), sense };
}

function findCollisions(classes) {
  const seen = new Set();
  const twice = new Map(); // by what they are compared by, so that each is told once
  for (const wording of classes.flatMap((entry) => [entry.name, ...entry.aliases])) {
    const key = foldCase(wording);
    if (seen.has(key) && !twice.has(key)) twice.set(key, wording);
    seen.add(key);
  }
  return [...twice.values()];
}

function findLimits(classes) {
  const problems = [];
  if (!classes.length) problems.push(say("no class name yet"));
  if (classes.length > CLASS_LIMIT) problems.push(say("{0} classes; at most {1} can be told apart", classes.length, CLASS_LIMIT));
  for (const wording of classes.flatMap((entry) => [entry.name, entry.sense, ...entry.aliases])) {
    const length = Array.from(wording).length;
    if (length > NAME_LIMIT) problems.push(say("“{0}…” has {1} characters; at most {2} are read", wording.slice(0, 20), length, NAME_LIMIT));
  }
  return problems;
}
