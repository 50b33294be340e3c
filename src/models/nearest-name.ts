import { editDistance } from '../text/edit-distance.js';

const MAX_NAME_LENGTH = 100;
/** Some 10 µs each, and a wrong name costs its sender nothing. */
const MAX_NAMES = 1_000;
const MAX_CHANGES = 2;

/**
 * The one of these names that is meant by one that is none of them: written in another way (`openai/gpt-4o`,
 * `Claude-Sonnet-4.5`), or with a slip or two.
 */
export function nearestName(written: string, names: readonly string[]): string | undefined {
  if (written.length > MAX_NAME_LENGTH || names.length > MAX_NAMES) return undefined;
  const plain = plainForm(written);
  let nearest: string | undefined;
  // A short name with two other letters is another name.
  let most = plain.length > 8 ? MAX_CHANGES : 1;
  for (const name of names) {
    const changes = editDistance(plain, plainForm(name), most);
    if (changes > most) continue;
    nearest = name;
    most = changes - 1;
    if (most < 0) break;
  }
  return nearest;
}

/** Without what other gateways write before a model's name, and without the ways to write one. */
function plainForm(name: string): string {
  return name
    .slice(name.lastIndexOf('/') + 1)
    .toLowerCase()
    .replaceAll(/[ ._:]/g, '-');
}
