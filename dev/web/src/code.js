/**
 * A number and a time written into a picture, so that whoever sees it knows which one it is and how old.
 *
 * The first line of the picture is `SQUARES` squares, black for 0 and white for 1: the mark 1 0, the number, the time, the mark 0 1.
 * Both values begin with their most significant bit and are kept modulo `MODULUS`. Squares survive scaling and every codec.
 */

export const SQUARES = 32;
const BITS = 14;
/** Both values are kept below this: 9 minutes of pictures at 30 a second, and 16 seconds in milliseconds. */
export const MODULUS = 2 ** BITS;

const bitsOf = (value) => Array.from({ length: BITS }, (_, index) => (value >> (BITS - 1 - index)) & 1);
const valueOf = (bits) => bits.reduce((value, bit) => 2 * value + bit, 0);

/** Writes `number` and the time now across a picture of this width. */
export function write(context, width, number) {
  const bits = [1, 0, ...bitsOf(number % MODULUS), ...bitsOf(Date.now() % MODULUS), 0, 1];
  const side = width / SQUARES;
  bits.forEach((bit, index) => {
    context.fillStyle = bit ? "#fff" : "#000";
    context.fillRect(index * side, 0, side, side);
  });
}

/** Reads what is written into pictures on a canvas. */
export class Reader {
  #context;

  constructor() {
    const canvas = document.createElement("canvas");
    canvas.width = SQUARES;
    canvas.height = 1;
    // Read back for each frame, so it is better kept where the script is.
    this.#context = canvas.getContext("2d", { willReadFrequently: true });
    this.#context.imageSmoothingEnabled = false;
  }

  /** `{ number, age }`, the age in milliseconds; `undefined` for a picture that says nothing. */
  read(canvas) {
    const side = canvas.width / SQUARES;
    this.#context.drawImage(canvas, 0, 0, canvas.width, side, 0, 0, SQUARES, 1);
    const { data } = this.#context.getImageData(0, 0, SQUARES, 1);
    const light = Array.from({ length: SQUARES }, (_, index) => data[4 * index]);
    if (light.some((value) => value > 96 && value < 160)) return undefined;
    const bits = light.map((value) => (value > 127 ? 1 : 0));
    if ([bits[0], bits[1], bits.at(-2), bits.at(-1)].join("") !== "1001") return undefined;
    const painted = valueOf(bits.slice(2 + BITS, 2 + 2 * BITS));
    return { number: valueOf(bits.slice(2, 2 + BITS)), age: (Date.now() - painted + MODULUS) % MODULUS };
  }
}
