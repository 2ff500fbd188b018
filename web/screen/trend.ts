/** The pick rate of the last hour, as a line. It holds at most WINDOW / STEP points, however long the screen runs. */
export const WINDOW = 60 * 60_000;
export const STEP = 15_000;

/** The units of the drawing, which the page stretches to its place. */
export const WIDTH = 600;
export const HEIGHT = 100;

interface Point {
  at: number;
  value: number;
}

/** What to draw: SVG path data, and how far down the target lies. */
export interface Drawing {
  line: string;
  area: string;
  target: number | undefined;
}

export class Trend {
  /** The oldest first. */
  #points: Point[] = [];

  get length(): number {
    return this.#points.length;
  }

  /** Adds a value; within STEP of the point before it takes that one's place. A clock that goes back begins a new line. */
  add(at: number, value: number): void {
    const last = this.#points.at(-1);
    if (last && at < last.at) this.#points = [];
    const before = this.#points.at(-2);
    if (last && before && at - before.at < STEP) this.#points.pop();
    this.#points.push({ at, value });
    while (this.#points.length > WINDOW / STEP || at - (this.#points[0]?.at ?? at) > WINDOW) this.#points.shift();
  }

  /** The line from the first point to the last, over the whole width; nothing before there are two points. */
  draw(target: number | undefined): Drawing | undefined {
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    if (!first || !last || last.at === first.at) return undefined;
    const values = this.#points.map(({ value }) => value);
    if (target !== undefined) values.push(target);
    // The scale begins at three quarters of the smallest: a fall of a tenth must be seen from
    // across the hall.
    const low = Math.min(...values) * 0.75;
    const high = Math.max(...values, low + 1);
    const y = (value: number) => round(HEIGHT - 2 - ((value - low) / (high - low)) * (HEIGHT - 6));
    const x = (at: number) => round(((at - first.at) / (last.at - first.at)) * WIDTH);
    const line = this.#points.map(({ at, value }, i) => `${i === 0 ? 'M' : 'L'}${x(at)} ${y(value)}`).join('');
    return { line, area: `${line}V${HEIGHT}H0Z`, target: target === undefined ? undefined : y(target) };
  }

  /** How much time the line covers, in milliseconds. */
  get span(): number {
    return (this.#points.at(-1)?.at ?? 0) - (this.#points[0]?.at ?? 0);
  }
}

const round = (n: number) => Math.round(n * 10) / 10;
