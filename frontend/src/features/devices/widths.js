/** Where the layout changes; the style sheets repeat these widths, as media queries cannot read them. */

/** The list shows three columns in two lines. */
export const NARROW_LIST = "(max-width: 767px)";

/** A device takes the place of the list, because both do not fit. */
export const INSTEAD_OF_LIST = "(max-width: 1099px)";
