/** The page of the post: 133 KB. */
export const PAGE_BYTES = 133_000;
