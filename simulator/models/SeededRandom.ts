/** Deterministic random numbers from a 32-bit seed (xoshiro128**, state filled by a Weyl sequence and a mixer). Not for secrets. */
export class SeededRandom {
  readonly #state = new Uint32Array(4);

  constructor(seed: number) {
    let weyl = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      weyl = (weyl + 0x9e3779b9) >>> 0;
      let mixed = weyl;
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      this.#state[i] = mixed ^ (mixed >>> 15);
    }
  }

  /** Uniform 32-bit unsigned integer. */
  uint32(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.#state;
    const scrambled = Math.imul(b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const nextD = d ^ b;
    const nextC = c ^ a;
    this.#state[0] = a ^ nextD;
    this.#state[1] = b ^ nextC;
    this.#state[2] = nextC ^ (b << 9);
    this.#state[3] = (nextD << 11) | (nextD >>> 21);
    return result;
  }

  /** Uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.uint32() / 4294967296);
  }

  /** Roughly standard normal: the sum of twelve uniforms less six, so that nothing but additions decides the bytes. */
  normal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.uint32() / 4294967296;
    return sum;
  }

  /** Shuffles in place (Fisher–Yates). */
  shuffle(items: Uint32Array): void {
    for (let i = items.length - 1; i > 0; i--) {
      const j = Math.floor(this.uniform(0, i + 1));
      const kept = items[i] ?? 0;
      items[i] = items[j] ?? 0;
      items[j] = kept;
    }
  }
}
