import type { QualifiedName } from '../../db/identifiers.ts';

/** A table and everything that must follow when another takes its place. Names and definitions are qualified. */
export interface TableDescription extends QualifiedName {
  /** `server_version_num` */
  readonly server: number;
  readonly oid: number;
  readonly owner: string;
  /** Whether the session may act as the owner. */
  readonly mine: boolean;
  /** As pg_class has it: `r` a table, `p` a partitioned one. */
  readonly kind: string;
  /** `p` permanent, `u` unlogged, `t` temporary. */
  readonly persistence: string;
  /** The file that the rows are in. A rewrite makes another. */
  readonly fileNode: number | null;
  readonly isPartition: boolean;
  /** Made with CREATE TABLE ... OF a type. */
  readonly typed: boolean;
  readonly parents: number;
  readonly children: number;
  /** The extension that it belongs to. */
  readonly extension: string | null;
  readonly accessMethod: string | null;
  readonly tablespace: string | null;
  /** Storage parameters, `fillfactor=70`, and those of its TOAST table, `toast.autovacuum_enabled=false`. */
  readonly options: readonly string[];
  /** `d` the primary key, `i` an index, `f` the whole row, `n` nothing. */
  readonly replicaIdentity: string;
  readonly rowSecurity: boolean;
  readonly forcesRowSecurity: boolean;
  readonly securityLabels: number;
  /** A subscription writes to it. */
  readonly isSubscribed: boolean;
  readonly comment: string | null;
  readonly grants: readonly Grant[];
  /** Nobody ever granted or revoked anything. */
  readonly hasPlainRights: boolean;
  /** Roles to which default privileges give rights on what is created in the schema; null is PUBLIC. */
  readonly defaultGrantees: readonly (string | null)[];
  readonly columns: readonly ColumnDescription[];
  /** Of serial columns and identities. */
  readonly sequences: readonly OwnedSequence[];
  /** With the primary key, and unique and exclusion constraints. */
  readonly indexes: readonly IndexDescription[];
  /** CHECK constraints, and NOT NULL ones where they have names (18). */
  readonly checks: readonly CheckDescription[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly incomingKeys: readonly IncomingKey[];
  readonly triggers: readonly TriggerDescription[];
  readonly rules: readonly RuleDescription[];
  readonly policies: readonly PolicyDescription[];
  readonly publications: readonly PublicationDescription[];
  readonly statistics: readonly StatisticsDescription[];
  readonly dependents: Dependents;
}

/** What a role may do; `grantee` null is PUBLIC. */
export interface Grant {
  readonly grantee: string | null;
  readonly privileges: readonly string[];
  readonly grantable: boolean;
}

export interface ColumnDescription {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly default: string | null;
  /** `a` always, `d` by default, empty for none. */
  readonly identity: string;
  /** `s` stored, `v` virtual, empty for none. */
  readonly generated: string;
  readonly collation: string | null;
  readonly storage: string;
  readonly compression: string;
  readonly statisticsTarget: number | null;
  readonly options: readonly string[];
  readonly grants: readonly Grant[];
  readonly comment: string | null;
}

export interface OwnedSequence extends QualifiedName {
  readonly column: string;
  readonly isIdentity: boolean;
  readonly type: string;
  readonly start: string;
  readonly increment: string;
  readonly min: string;
  readonly max: string;
  readonly cache: string;
  readonly cycle: boolean;
  readonly owner: string;
  readonly grants: readonly Grant[];
  readonly hasPlainRights: boolean;
  readonly comment: string | null;
}

export interface IndexDescription extends IndexDefinition {
  readonly oid: number;
}

export interface IndexDefinition {
  readonly name: string;
  readonly unique: boolean;
  readonly valid: boolean;
  readonly clustered: boolean;
  /** It is the table's replica identity. */
  readonly identifies: boolean;
  /** Null stands for an expression. */
  readonly keys: readonly (string | null)[];
  readonly includes: readonly string[];
  readonly partial: boolean;
  /** The definition from USING on. */
  readonly using: string;
  readonly options: readonly string[];
  readonly nullsNotDistinct: boolean;
  readonly tablespace: string | null;
  readonly comment: string | null;
  readonly constraint: KeyConstraint | null;
}

export interface KeyConstraint {
  readonly name: string;
  /** `p` primary key, `u` unique, `x` exclusion. */
  readonly type: 'p' | 'u' | 'x';
  readonly deferrable: boolean;
  readonly deferred: boolean;
  /** WITHOUT OVERLAPS (18). */
  readonly temporal: boolean;
  readonly comment: string | null;
}

export interface CheckDescription {
  readonly name: string;
  /** `c` CHECK, `n` NOT NULL. */
  readonly type: string;
  readonly definition: string;
  /** The column of a NOT NULL constraint. */
  readonly column: string | null;
  readonly validated: boolean;
  readonly enforced: boolean;
  readonly inheritable: boolean;
  readonly comment: string | null;
}

export interface ForeignKey {
  readonly name: string;
  readonly definition: string;
  readonly validated: boolean;
  readonly enforced: boolean;
  readonly references: QualifiedName;
  readonly comment: string | null;
}

/** A foreign key of another table, or of the same, that references the table. */
export interface IncomingKey {
  readonly name: string;
  readonly table: QualifiedName;
  readonly tableKind: string;
  readonly mine: boolean;
  readonly owner: string;
  /** The columns that it references. */
  readonly keys: readonly string[];
  readonly definition: string;
  readonly validated: boolean;
  readonly comment: string | null;
}

export interface TriggerDescription {
  readonly name: string;
  readonly definition: string;
  /** `O` on, `D` off, `R` on replicas, `A` always. */
  readonly enabled: string;
  readonly forEachRow: boolean;
  readonly before: boolean;
  readonly seesTables: boolean;
  /** Its function asks for the name of the table that it runs for. */
  readonly asksForName: boolean;
  /** Columns of NEW that its function assigns, as far as its text shows. */
  readonly assigns: readonly string[];
  readonly comment: string | null;
}

export interface RuleDescription {
  readonly name: string;
  readonly definition: string;
  readonly enabled: string;
  readonly comment: string | null;
}

export interface PolicyDescription {
  readonly name: string;
  readonly permissive: boolean;
  /** `r` SELECT, `a` INSERT, `w` UPDATE, `d` DELETE, `*` all. */
  readonly command: string;
  /** Empty for PUBLIC. */
  readonly roles: readonly string[];
  readonly using: string | null;
  readonly check: string | null;
  readonly comment: string | null;
}

export interface PublicationDescription {
  readonly name: string;
  readonly owner: string;
  readonly mine: boolean;
  /** Whether the table is listed by itself, or published with its schema or with all tables. */
  readonly listed: boolean;
  readonly columns: readonly string[] | null;
  readonly filter: string | null;
  /** publish_via_partition_root */
  readonly viaRoot: boolean;
  /** Another partitioned table is in it. */
  readonly hasPartitioned: boolean;
}

export interface StatisticsDescription extends QualifiedName, Owned {
  readonly kinds: readonly string[];
  readonly columns: string;
  readonly target: number | null;
  readonly comment: string | null;
}

/** What is bound to the table itself, whatever it is called. */
export interface Dependents {
  readonly views: readonly DependentView[];
  readonly materializedViews: readonly DependentMaterializedView[];
  /** Functions whose body is SQL that was parsed: BEGIN ATOMIC, RETURN. */
  readonly functions: readonly DependentFunction[];
  /** Policies of other tables. */
  readonly policies: readonly (PolicyDescription & Owned & { readonly table: QualifiedName })[];
  /** Rules of other tables and views. */
  readonly rules: readonly (RuleDescription & Owned & { readonly table: QualifiedName })[];
  /** What nothing can bind to another table, in the server's words. */
  readonly others: readonly string[];
}

export interface Owned {
  readonly owner: string;
  readonly mine: boolean;
}

export interface DependentView extends QualifiedName, Owned {
  readonly definition: string;
  readonly options: readonly string[];
}

export interface DependentMaterializedView extends QualifiedName, Owned {
  readonly definition: string;
  readonly populated: boolean;
}

export interface DependentFunction extends Owned {
  /** `public.f(integer)` */
  readonly identity: string;
  readonly definition: string;
}
