/** Per provider: a wildcard can have any number of models. */
const MAX_REMEMBERED = 1000;

const keys = new Map<string, Map<string, string>>();

/**
 * A provider's model as a key of maps. Remembered, because a newly built key has to be copied and hashed for each lookup.
 */
export function targetKey(provider: string, model: string): string {
  let ofProvider = keys.get(provider);
  if (!ofProvider) keys.set(provider, (ofProvider = new Map()));
  let key = ofProvider.get(model);
  if (key === undefined) {
    if (ofProvider.size >= MAX_REMEMBERED) ofProvider.clear();
    ofProvider.set(model, (key = `${provider}\n${model}`));
  }
  return key;
}
