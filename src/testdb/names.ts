import { randomBytes } from 'node:crypto';

/** What a database of ours is: a template is complete, one that is being built may be broken. */
export type Kind = 'template' | 'building' | 'clone';

/** The name of the template of `key`. */
export function templateName(key: string): string {
  return `eduschema_template_${key}`;
}

/** A new name for a database of `kind`; it holds the time, so that its age can be told even without its comment. */
export function newName(kind: 'building' | 'clone', key: string, nowMs: number): string {
  return `eduschema_${kind}_${key}_${nowMs.toString(36)}_${randomBytes(4).toString('hex')}`;
}

/** What the name says; undefined for a database that is not ours. */
export function readName(name: string): { kind: Kind; key: string; madeMs: number | undefined } | undefined {
  const [, kind, key, time] =
    /^eduschema_(template|building|clone)_([0-9a-f]{16})(?:_([0-9a-z]{8,9})_[0-9a-f]{8})?$/.exec(name) ?? [];
  if (kind === undefined || key === undefined || (kind === 'template') !== (time === undefined))
    return undefined;
  return { kind: kind as Kind, key, madeMs: time === undefined ? undefined : Number.parseInt(time, 36) };
}
