/** `npm run licences`: the licences of what runs in production, and who has them. */
import { runtimePackages } from './runtime-packages.ts';

const packages = runtimePackages();
for (const [licence, members = []] of Object.entries(Object.groupBy(packages, ({ licence }) => licence))) {
  console.log(`${licence} (${members.length})`);
  console.log(`  ${members.map(({ name, version }) => `${name}@${version}`).join(' ')}`);
}
console.log(`${packages.length} packages`);
