/** What the keys of a machine are renewed by: a new value of any of these, or a new period. */
export interface RotationSettings {
  /** The setting for all machines. */
  rotation: string;
  /** The machine's own. */
  own?: string | undefined;
  /** A number of days, as `90d`. */
  rotateEvery?: string | undefined;
}

/**
 * The text that a machine's keys are bound to; they are renewed when it changes. A period is counted from the
 * epoch, 1970-01-01 UTC, so that it begins at the same time whoever looks.
 */
export function rotationOf(
  { rotation, own, rotateEvery }: RotationSettings,
  now = Date.now(),
): string {
  return [
    rotation,
    ...(own === undefined ? [] : [`own ${own}`]),
    ...(rotateEvery === undefined ? [] : [`${rotateEvery} ${period(rotateEvery, now)}`]),
  ].join(", ");
}

function period(rotateEvery: string, now: number): number {
  const days = Number.parseInt(rotateEvery, 10);
  return Math.floor(now / (days * 24 * 60 * 60 * 1000));
}
