/** How the comments of tables begin that a conversion needs for a while. */
export const ownComment = 'eduschema: ';
