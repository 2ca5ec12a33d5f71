/** Reads once; a failed read is forgotten. */
export function remembered<K, V>(memory: Map<K, Promise<V>>, key: K, read: () => Promise<V>): Promise<V> {
  let value = memory.get(key);
  if (!value) {
    value = read();
    memory.set(key, value);
    value.catch(() => memory.delete(key));
  }
  return value;
}
