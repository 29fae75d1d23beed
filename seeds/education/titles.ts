import type { SeedContext } from 'eduschema';
import descriptions from '../descriptions.json' with { type: 'json' };
import people from '../people.json' with { type: 'json' };
import titles from '../titles.json' with { type: 'json' };

/** The categories, as the migration 1.12.0 adds them, and how many of a hundred materials each has. */
export const categories = [
  { name: '신입사원 교육', share: 12, color: '#4CAF50', icon: 'user-plus' },
  { name: '리더십', share: 16, color: '#2196F3', icon: 'users' },
  { name: '컴플라이언스', share: 20, color: '#9C27B0', icon: 'shield-check' },
  { name: 'IT 기술', share: 26, color: '#00838F', icon: 'laptop' },
  { name: '비즈니스 스킬', share: 18, color: '#EF6C00', icon: 'briefcase' },
  { name: '안전 교육', share: 8, color: '#D32F2F', icon: 'alert-triangle' },
] as const;

const hundred = categories.flatMap(({ share }, category) =>
  Array.from({ length: share }, (_, index) => ({ category, index, share })),
);

/** Which of the six a material is filed under, and the how manieth of them it is. */
export function createFiling({ random }: SeedContext): (row: number) => { category: number; place: number } {
  const chance = random('materials.category');
  return (row) => {
    const block = Math.floor(row / 100);
    const slot = hundred[(row * 37 + chance.below(100, block)) % 100] ?? { category: 0, index: 0, share: 1 };
    return { category: slot.category, place: block * slot.share + slot.index };
  };
}

const audiences = ['', ...Object.keys(people.departments)];

/** What a material is about. No two of a category are about the same. */
export interface Topic {
  readonly subject: string;
  readonly form: string;
  /** `개발팀 파이썬 기초 2차`. */
  readonly title: string;
}

/** The topic of the `place`th material of a category: each combination of words comes once before a second round begins. */
export function topicOf(category: number, place: number): Topic {
  const { subjects, forms } = titles[categories[category]?.name ?? 'IT 기술'];
  const [subjectIndex, rest] = [place % subjects.length, Math.floor(place / subjects.length)];
  const formIndex = (rest + subjectIndex * 5) % forms.length;
  const turn = Math.floor(rest / forms.length);
  const audience = audiences[(turn + subjectIndex * 3 + formIndex * 7) % audiences.length] ?? '';
  const round = Math.floor(turn / audiences.length) + 1;
  const subject = subjects[subjectIndex] ?? '';
  const form = forms[formIndex] ?? '';
  const words = [audience, subject, form, round > 1 ? `${round}차` : ''].filter((word) => word !== '');
  return { subject, form, title: words.join(' ') };
}

/** The description of a material: an opening, a middle and an ending, and often words that few others have. */
export function createDescriptions({ random }: SeedContext): (row: number, subject: string) => string {
  const chance = random('materials.description');
  const opening = random('materials.opening').choice(descriptions.openings);
  const middle = random('materials.middle').choice(descriptions.middles);
  const ending = random('materials.ending').choice(descriptions.endings);
  const keyword = random('materials.keyword').popular(descriptions.keywords.length, 1);
  return (row, subject) => {
    const count = chance.below(5, row);
    const words = Array.from({ length: count }, (_, nth) => descriptions.keywords[keyword(row, nth)]);
    return [
      opening(row).replace('{subject}', subject),
      middle(row),
      ...(count > 0 ? [`주요 내용: ${[...new Set(words)].join(', ')}.`] : []),
      ending(row),
    ].join(' ');
  };
}

/** How hard a material is, from 1 to 5, as far as its form says. */
export function difficultyOf(form: string, chance: number): number {
  if (/기초|입문|기본|안내|한눈에|예절/.test(form)) return chance < 0.7 ? 1 : 2;
  if (/심화|마스터|해설|특강/.test(form)) return chance < 0.5 ? 4 : 5;
  return chance < 0.3 ? 2 : chance < 0.85 ? 3 : 4;
}
