// What the pages' scripts share.

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** 01:02:03 of milliseconds. */
function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

/** The numbers that shared/pages/packing.py wrote. */
function unpacked(text) {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const values = new Map(Array.from(digits, (digit, value) => [digit, value]));
  const numbers = [];
  let number = 0;
  let worth = 1;
  for (const character of text) {
    const digit = values.get(character);
    number += (digit % 32) * worth;
    worth *= 32;
    if (digit > 31) continue;
    numbers.push(number);
    number = 0;
    worth = 1;
  }
  return numbers;
}

function unpackedSigned(text) {
  return unpacked(text).map((number) => (number % 2 ? -(number + 1) / 2 : number / 2));
}
