import { exp, log } from "./exactMath.ts";
import type { SeededRandom } from "../../simulator/models/SeededRandom.ts";

/** One input of the model, as a caller has to supply it: raw, in the unit given. */
export interface Feature {
  name: string;
  unit: string;
  description: string;
  /** Range of the training data; the model extrapolates outside it. */
  range: readonly [low: number, high: number];
}

/**
 * Collateral and debt enter as their ratio: what liquidates a position is a ratio, and a network without logarithms or divisions (which keeps
 * it cheap to prove in zero knowledge) could not form it over the seven decades that positions span.
 */
export const FEATURES = [
  {
    name: "loanToValue",
    unit: "ratio",
    description: "Debt value divided by collateral value.",
    range: [0.1, 0.95],
  },
  {
    name: "liquidationThreshold",
    unit: "ratio",
    description: "Loan-to-value at which the protocol liquidates.",
    range: [0.6, 0.95],
  },
  {
    name: "collateralVolatility",
    unit: "1/sqrt(year)",
    description: "Annualised volatility of the collateral asset's price.",
    range: [0.05, 1.8],
  },
  {
    name: "debtVolatility",
    unit: "1/sqrt(year)",
    description: "Annualised volatility of the borrowed asset's price (about 0.01 for a stablecoin).",
    range: [0.005, 1.2],
  },
  {
    name: "collateralReturn30d",
    unit: "log return",
    description: "Collateral asset's log return over the past 30 days.",
    range: [-1.2, 1.2],
  },
  {
    name: "borrowRate",
    unit: "1/year",
    description: "Interest the debt accrues.",
    range: [0, 0.3],
  },
  {
    name: "sizeLog10Usd",
    unit: "log10(USD)",
    description: "Decimal logarithm of the collateral's value in US dollars.",
    range: [2, 7],
  },
  {
    name: "daysSinceTopUp",
    unit: "days",
    description: "Days since the owner last added collateral or repaid.",
    range: [0, 180],
  },
] as const satisfies readonly Feature[];

export const HORIZON_DAYS = 14;
const STEPS_PER_DAY = 4;

/** `rows` positions: features row by row, and for each whether it was liquidated within the horizon (1) or not (0). */
export interface Dataset {
  rows: number;
  features: Float64Array;
  labels: Uint8Array;
  /** Distance to liquidation over the volatility to the horizon: the best-known one-number rule, to compare the model with. */
  distance: Float64Array;
}

/** Draws `rows` positions and lets each run through one simulated price path. */
export function samplePositions(random: SeededRandom, rows: number): Dataset {
  const width = FEATURES.length;
  const data: Dataset = {
    rows,
    features: new Float64Array(rows * width),
    labels: new Uint8Array(rows),
    distance: new Float64Array(rows),
  };
  for (let row = 0; row < rows; row++) {
    const position = samplePosition(random);
    // Features are rounded to float32 here, since that is what the deployed model will see.
    data.features.set(
      FEATURES.map(({ name }) => Math.fround(position[name])),
      row * width,
    );
    data.labels[row] = isLiquidated(random, position) ? 1 : 0;
    data.distance[row] =
      log(position.liquidationThreshold / position.loanToValue) /
      Math.sqrt((position.collateralVolatility ** 2 + position.debtVolatility ** 2) * (HORIZON_DAYS / 365));
  }
  return data;
}

type Position = Record<(typeof FEATURES)[number]["name"], number>;

function samplePosition(random: SeededRandom): Position {
  const liquidationThreshold = random.uniform(0.6, 0.95);
  const collateralVolatility = logUniform(random, 0.05, 1.8);
  const stableDebt = random.uniform() < 0.7;
  // Owners leave more room when the collateral moves more; the spread around that keeps the feature informative.
  // One in seven is far from danger, so that the model has seen such positions too.
  const wide = random.uniform() < 1 / 7;
  const room = random.uniform(0.01, 1) * (wide ? 3 : 0.08 + 0.3 * collateralVolatility);
  return {
    loanToValue: Math.max(0.1, liquidationThreshold / (1 + room)),
    liquidationThreshold,
    collateralVolatility,
    debtVolatility: stableDebt ? logUniform(random, 0.005, 0.05) : logUniform(random, 0.2, 1.2),
    collateralReturn30d: clamp(random.normal() * collateralVolatility * Math.sqrt(30 / 365), -1.2, 1.2),
    borrowRate: random.uniform() * random.uniform() * 0.3,
    sizeLog10Usd: random.uniform(2, 7),
    daysSinceTopUp: 180 * random.uniform() * random.uniform(),
  };
}

/** Follows log(health) = log(threshold / loan-to-value) along one path of fat-tailed returns; below zero the position is liquidated. */
function isLiquidated(random: SeededRandom, position: Position): boolean {
  const dt = 1 / (365 * STEPS_PER_DAY);
  const collateralStep = position.collateralVolatility * Math.sqrt(dt);
  const debtStep = position.debtVolatility * Math.sqrt(dt);
  const momentum = (0.15 * position.collateralReturn30d) / (30 * STEPS_PER_DAY);
  const drift = momentum - position.borrowRate * dt - (collateralStep ** 2 - debtStep ** 2) / 2;
  // An owner who tended the position lately, or has much at stake, is likelier to rescue it in time.
  const rescueChance = (0.2 + 0.12 * (position.sizeLog10Usd - 2)) / (1 + position.daysSinceTopUp / 20);

  let health = log(position.liquidationThreshold / position.loanToValue);
  for (let step = 0; step < HORIZON_DAYS * STEPS_PER_DAY; step++) {
    health += drift + collateralStep * fatTailed(random) - debtStep * fatTailed(random);
    if (health < 0) return true;
    if (step % STEPS_PER_DAY === 0 && health < 0.12 && random.uniform() < rescueChance) health += 0.25;
  }
  return false;
}

/** Unit variance; one step in twenty is three times as violent. */
function fatTailed(random: SeededRandom): number {
  const violent = random.uniform() < 0.05;
  return (random.normal() * (violent ? 3 : 1)) / Math.sqrt(1.4);
}

function logUniform(random: SeededRandom, low: number, high: number): number {
  return low * exp(random.uniform() * log(high / low));
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
