/* A list that grows at its head and is read page by page, newest first: the newest page is asked for again and again. */

export class Paged {
  /** `page(before)` gives [items, what to give as `before` for the page after them]; each item has an `id`. */
  constructor(page) {
    this.page = page;
    this.items = [];
    this.following = null;
  }

  clear() {
    this.items = [];
  }

  /** Read the newest page; what was read before stays where the two join. False, and nothing is changed, if meanwhile
   * something else is wanted. */
  async refresh(isStillWanted = () => true) {
    const [items, following] = await this.page(null);
    if (!isStillWanted()) return false;
    const newest = new Set(items.map((item) => item.id));
    const older = this.items.filter((item) => !newest.has(item.id));
    const joins = older.length < this.items.length;
    if (!joins || !older.length) this.following = following;
    this.items = joins ? [...items, ...older] : items;
    return true;
  }

  async more() {
    const [items, following] = await this.page(this.following);
    this.following = following;
    this.items = [...this.items, ...items];
  }
}
