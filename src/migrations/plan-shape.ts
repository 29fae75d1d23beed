import type { PlanDocument, PlannedDatabase, PlannedOptions, PlannedSettings } from './plan-document.ts';
import type { PlannedStatement, PlannedStep } from './plan-steps.ts';

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string';
const isNumber: Check = (value) => typeof value === 'number';
const isSwitch: Check = (value) => typeof value === 'boolean';
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const mapOf =
  (check: Check): Check =>
  (value) =>
    isObject(value) && Object.values(value).every(check);
const shapeOf =
  <Shape>(checks: { readonly [key in keyof Required<Shape>]: Check }): Check =>
  (value) =>
    isObject(value) && Object.entries<Check>(checks).every(([key, check]) => check(value[key]));

const isStatement = shapeOf<PlannedStatement>({
  ordinal: isNumber,
  hash: isText,
  sql: isText,
  data: (value) => value === undefined || shapeOf({ bytes: isNumber, sha256: isText })(value),
  runs: (value) => value === undefined || isText(value),
});

const isStep = shapeOf<PlannedStep>({
  name: isText,
  version: orNull(isText),
  description: isText,
  direction: isText,
  kind: isText,
  file: isText,
  checksum: orNull(isText),
  transaction: isText,
  carriedOut: listOf(isNumber),
  statements: orNull(listOf(isStatement)),
});

const isPlan = shapeOf<PlanDocument>({
  eduschema: isText,
  format: isNumber,
  tool: isText,
  madeAt: isText,
  database: shapeOf<PlannedDatabase>({ name: isText, server: isText, user: isText, searchPath: isText }),
  settings: shapeOf<PlannedSettings>({ journal: isText, schema: orNull(isText), role: orNull(isText) }),
  options: shapeOf<PlannedOptions>({
    to: orNull(isText),
    steps: orNull(isNumber),
    outOfOrder: isSwitch,
    singleTransaction: isSwitch,
  }),
  recorded: shapeOf({ versions: mapOf(orNull(isText)), repeatable: mapOf(isText) }),
  preparation: listOf(isText),
  steps: listOf(isStep),
  hooks: shapeOf({ before: listOf(isStep), after: listOf(isStep) }),
  forgotten: listOf(isText),
  fingerprint: isText,
  objects: mapOf(isText),
});

/** Whether a value that was read has the shape of a plan, with all that belongs to it. */
export function isPlanDocument(value: unknown): value is PlanDocument {
  return isPlan(value);
}
