import {
  column,
  type Lookup,
  lookup,
  references,
  type SeedContext,
  type Table,
  table,
  timeline,
} from 'eduschema';
import people from '../people.json' with { type: 'json' };
import { createRhythm, day, openingOf, square } from './calendar.ts';

export type Context = SeedContext<'materials' | 'downloads' | 'views' | 'users' | 'days' | 'dirty'>;

const permissionNames = {
  'materials.view': '자료 조회',
  'materials.download': '자료 내려받기',
  'materials.upload': '자료 등록',
  'materials.edit': '자료 수정',
  'materials.delete': '자료 삭제',
  'materials.feature': '추천 자료 지정',
  'categories.manage': '카테고리 관리',
  'tags.manage': '태그 관리',
  'users.manage': '사용자와 권한 관리',
  'reports.view': '통계와 보고서 조회',
};

/** The people of the company, what they may do, and who of them uploads materials. */
export interface People {
  readonly tables: readonly (Table | Lookup)[];
  readonly users: Table;
  /** The user who uploaded a material; null when there is none. */
  uploaderOf(material: number): number | null;
}

/** Names are put together from lists of common ones; employee numbers and addresses are nobody's. */
export function createPeople(context: Context): People {
  const { asOf, random, before, values, earlier } = context;
  const first = before('users');
  const opening = openingOf(context);
  // Those who upload were there before the library was.
  const founders = (count: number) => Math.ceil(count / 5);
  const early = founders(values.users);
  const joined = [
    timeline(random('users.early'), {
      from: opening - 730 * day,
      to: opening,
      rows: early,
      first,
      step: day,
    }),
    timeline(random('users.later'), {
      from: opening,
      to: asOf,
      rows: values.users - early,
      first: first + early,
      weight: createRhythm(context, opening),
    }),
  ] as const;
  const createdAt = (row: number) => (row < first + early ? joined[0](row) : joined[1](row));

  const familyNames = random('users.family').choice(
    Object.entries(people.familyNames),
    ([, weight]) => weight,
  );
  const givenNames = random('users.given').choice(people.givenNames);
  const positions = random('users.position').choice(Object.entries(people.positions), ([, weight]) => weight);
  const chance = random('users');
  const number = (row: number) => `edu${String(row + 1).padStart(5, '0')}`;
  const isAdmin = (row: number) => row % 100 === 0;
  const uploads = (row: number) => row < first + early;

  const users = table('users', {
    rows: values.users,
    key: 'id',
    columns: {
      username: column.text(number),
      email: column.text((row) => `${number(row)}@${people.emailDomain}`),
      full_name: column.text((row) => `${familyNames(row)[0]}${givenNames(row)}`),
      department: column.oneOf(Object.keys(people.departments), Object.values(people.departments)),
      position: column.text((row) => positions(row)[0]),
      is_admin: column.boolean(isAdmin),
      is_active: column.boolean((row) => isAdmin(row) || !chance.happens(0.04, row)),
      last_login: column.time((row) =>
        chance.happens(0.06, row, 1)
          ? null
          : Math.max(createdAt(row), asOf - Math.floor(square(chance.unit(row, 2)) * 60 * day) - 1000),
      ),
      created_at: column.time(createdAt),
      updated_at: column.time(createdAt),
    },
  });

  const permissions = lookup('permissions', {
    key: 'id',
    by: 'name',
    match: 'lower(normalize(name, nfkc))',
    values: Object.entries(permissionNames).map(([name, description]) => ({ name, description })),
  });
  const everybody = [0, 1];
  const uploader = [0, 1, 2, 3];
  const admin = Object.keys(permissionNames).map((_, index) => index);
  const permissionsOf = (row: number) => (isAdmin(row) ? admin : uploads(row) ? uploader : everybody);
  const userPermissions = table('user_permissions', {
    rows: values.users,
    repeat: (row) => permissionsOf(row).length,
    columns: {
      user_id: references(users, (row) => row),
      permission_id: references(permissions, (row, nth) => permissionsOf(row)[nth] ?? 0),
      granted_at: column.time(createdAt),
      granted_by: references(users, () => first),
    },
  });

  const uploaders = founders(earlier[0]?.values.users ?? values.users);
  const popular = uploaders > 0 ? random('materials.uploader').popular(uploaders, 0.7) : undefined;
  return {
    tables: [permissions, users, userPermissions],
    users,
    uploaderOf: (material) => popular?.(material) ?? null,
  };
}
