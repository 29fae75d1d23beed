-- Search by any part of a word, in any language, on a stock server in any locale (the encoding must be UTF8).
-- A text is indexed as its overlapping pairs of characters: 교육과정 is 교육, 육과, 과정, 정. Two syllables are one pair,
-- one syllable is the beginning of a pair, and more are several pairs, checked again on the text itself.

-- migrate:up

-- The bodies are parsed here and now (RETURN, not a string): they do not depend on anybody's search_path, which index
-- builds restrict since 17, and they are inlined into the index expression, so that a row costs no function call.

-- What is compared: lower case, and Hangul composed. Asking first is three times cheaper than always normalising.
create function search_text(t text) returns text
language sql immutable parallel safe
return lower(case when t is nfc normalized then t else normalize(t, nfc) end);

-- All pairs: those that start at odd places and those at even ones, each cut by one regexp. U+0002 separates them.
-- A tsvector, because it holds each pair once, compares bytes whatever the locale, and knows how to find a beginning.
create function search_pairs(t text) returns tsvector
language sql immutable parallel safe
return array_to_tsvector(array_remove(string_to_array(
         regexp_replace(translate(t, E'\x02', ' '), '(..)', E'\\1\x02', 'g') || E'\x02' ||
         regexp_replace(substr(translate(t, E'\x02', ' '), 2), '(..)', E'\\1\x02', 'g'), E'\x02'), ''));

create function material_search_pairs(title text, description text) returns tsvector
language sql immutable parallel safe
return search_pairs(search_text(title || E'\n' || coalesce(description, '')));

create index idx_materials_search on materials using gin (material_search_pairs(title, description));

comment on function search_text(text) is 'The form in which texts are compared: lower case, Unicode NFC.';
comment on function search_pairs(text) is 'Overlapping pairs of characters of a text, as a tsvector.';
comment on function material_search_pairs(text, text) is 'What idx_materials_search indexes. search_materials() asks it.';

-- migrate:down
drop index idx_materials_search;
drop function material_search_pairs(text, text);
drop function search_pairs(text);
drop function search_text(text);
