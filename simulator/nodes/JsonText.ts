/** JSON that passes as it came: an upstream's answer, byte for byte. */
export class JsonText {
  readonly text: string;
  /** What it says. */
  readonly value: Readonly<Record<string, unknown>>;

  /** @param value of `JSON.parse(text)`. */
  constructor(text: string, value: Readonly<Record<string, unknown>>) {
    this.text = text;
    this.value = value;
  }

  /** As a member of what is no such text. */
  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

/** An object as JSON. */
export const jsonOf = (answer: object): string => (answer instanceof JsonText ? answer.text : JSON.stringify(answer));

/** `answer` with further members; those of the same name are replaced. What passes as it came gets them at its end. */
export function withMembers(answer: object, members: Readonly<Record<string, unknown>>): object {
  if (!(answer instanceof JsonText)) return { ...answer, ...members };
  let text = answer.text.slice(0, answer.text.lastIndexOf("}"));
  let separator = isEmpty(answer.value) ? "" : ",";
  for (const name in members) {
    // a name twice would be read differently by different parsers
    if (Object.hasOwn(answer.value, name)) return { ...answer.value, ...members };
    const member = members[name];
    if (member === undefined) continue;
    text += `${separator}${JSON.stringify(name)}:${member instanceof JsonText ? member.text : JSON.stringify(member)}`;
    separator = ",";
  }
  // the members are in the text only: who adds more looks for their names in what came
  return new JsonText(`${text}}`, answer.value);
}

function isEmpty(value: object): boolean {
  for (const _name in value) return false;
  return true;
}
