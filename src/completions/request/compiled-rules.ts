import { getMetadataStorage } from 'class-validator';

type Check = (value: unknown) => boolean;

interface FieldRules {
  readonly name: string;
  readonly isOptional: boolean;
  readonly checks: readonly Check[];
}

/** class-validator's names for `@Is…()` and `@IsOptional()`. */
const CUSTOM = 'customValidation';
const CONDITIONAL = 'conditionalValidation';

/**
 * A DTO class's own class-validator rules, looked up once and not with every request. It only says whether everything is
 * right; what is wrong, and in which words, is left to class-validator.
 *
 * It knows what the chat DTO uses (constraints, `@IsOptional()`); with anything else it never says `true`.
 */
export function compileRules(dto: new () => object): (body: object) => boolean {
  const fields = readRules(dto);
  const demanded = fields.filter(({ isOptional }) => !isOptional);
  const optional = new Map(fields.filter(({ isOptional }) => isOptional).map((field) => [field.name, field]));
  return (body) => {
    for (const field of demanded) if (!isRight(field, Reflect.get(body, field.name))) return false;
    // Over the few fields that there are, and not the many that there may be.
    for (const name in body) {
      const field = optional.get(name);
      const value: unknown = field && Reflect.get(body, name);
      if (field && value !== undefined && value !== null && !isRight(field, value)) return false;
    }
    return true;
  };
}

function isRight({ checks }: FieldRules, value: unknown): boolean {
  for (const check of checks) if (!check(value)) return false;
  return true;
}

function readRules(dto: new () => object): FieldRules[] {
  const storage = getMetadataStorage();
  const byField = storage.groupByPropertyName(
    storage.getTargetValidationMetadatas(dto, '', false, false, undefined),
  );
  return Object.entries(byField).map(([name, rules]) => ({
    name,
    isOptional: rules.some(isOptionalRule),
    checks: rules.filter((rule) => !isOptionalRule(rule)).flatMap(checksOf),
  }));
}

type Rule = ReturnType<ReturnType<typeof getMetadataStorage>['getTargetValidationMetadatas']>[number];

function isOptionalRule({ type, name }: Rule): boolean {
  return type === CONDITIONAL && name === 'isOptional';
}

function checksOf(rule: Rule): Check[] {
  if (rule.type !== CUSTOM || rule.each || rule.validateIf) return [() => false];
  const { propertyName: property, constraints } = rule;
  return getMetadataStorage()
    .getTargetValidatorConstraints(rule.constraintCls)
    .map(({ instance }) => {
      const validated = { value: undefined as unknown, property, constraints, targetName: '', object: {} };
      return (value) => {
        validated.value = value;
        return instance.validate(value, validated) === true;
      };
    });
}
