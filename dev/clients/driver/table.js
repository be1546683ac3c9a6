/** The figures a run has seen, printed as one table at its end. */

export class Table {
  #rows = [];

  add(row) {
    this.#rows.push(row);
  }

  print(title) {
    if (this.#rows.length === 0) return;
    const heads = [...new Set(this.#rows.flatMap((row) => Object.keys(row)))];
    const cells = [heads, ...this.#rows.map((row) => heads.map((head) => String(row[head] ?? "")))];
    const widths = heads.map((_, column) => Math.max(...cells.map((line) => line[column].length)));
    const line = (texts) => `  ${texts.map((text, column) => text.padEnd(widths[column])).join("  ")}`.trimEnd();
    process.stdout.write(["", title, ...cells.map(line), "", ""].join("\n"));
  }
}

/** The middle of these numbers, the upper one of two. */
export function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
