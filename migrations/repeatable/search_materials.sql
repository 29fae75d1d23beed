-- migrate:up requires:1.13.0

-- The pairs of characters that a text must have to contain this one: 개인정보 is '개인' & '인정' & '정보', 교 is '교':*.
-- 64 pairs narrow anything down; what is longer is checked on the text.
create or replace function search_query(needle text) returns tsquery
language sql immutable parallel safe
return case when char_length(needle) > 0 then (
         select string_agg('''' || replace(replace(substr(translate(needle, E'\x02', ' '), i, 2), '\', '\\'), '''', '''''') || ''''
                           || case when char_length(needle) = 1 then ':*' else '' end, ' & ')
           from generate_series(1, least(greatest(char_length(needle) - 1, 1), 64)) i)::tsquery
       end;

-- Every material whose title or description contains the query, taken literally: what
-- normalize(title) ILIKE '%query%' OR normalize(description) ILIKE '%query%' would find, from the index.
-- Runs with the caller's rights: row policies decide what is seen. For a frequent character the planner would rather scan
-- the table: it does not know that the pairs, computed again for each row, cost more than the row.
create or replace function search_all_materials(query text, max_rows integer default 20, active_only boolean default false)
returns table (id bigint, title varchar, description text, category_name varchar, download_count bigint, view_count bigint, in_title boolean)
language plpgsql stable strict
set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
declare
  needle  text    := search_text(query);
  pairs   tsquery := search_query(needle);
  -- Up to two characters the index answers exactly, unless they are among those that it uses or replaces itself.
  exact   boolean := char_length(needle) <= 2 and needle !~ E'[\n\x02 ]';
  most    bigint  := nullif(max_rows, 0);
  below   smallint;
  likely  bigint[];
  found   bigint[];
  is_done boolean := most is null;
begin
  -- What many materials have is among the most downloaded: whole powers of two, at most 15 times as many as are wanted.
  if not is_done then
    below := (select f.download_magnitude from materials f order by f.download_magnitude desc offset 15 * most limit 1);
    found := array(select f.id
                     from materials f
                    where f.download_magnitude > coalesce(below, -1)
                      and (strpos(search_text(f.title), needle) > 0 or strpos(search_text(f.description), needle) > 0)
                      and (f.is_active or not active_only)
                    order by f.download_count desc, f.id desc
                    limit most);
    is_done := below is null or cardinality(found) = most;
  end if;

  -- A longer text that many rows seem to have is mostly in the first of them: only these are read before all are.
  if not is_done and not exact then
    likely := array(select f.id
                      from materials f
                     where material_search_pairs(f.title, f.description) @@ pairs
                       and (f.is_active or not active_only)
                     order by f.download_count desc, f.id desc
                     limit 10 * most);
    found := array(select f.id
                     from materials f
                    where f.id = any (likely)
                      and (strpos(search_text(f.title), needle) > 0 or strpos(search_text(f.description), needle) > 0)
                    order by f.download_count desc, f.id desc
                    limit most);
    is_done := cardinality(likely) < 10 * most or cardinality(found) = most;
  end if;

  if not is_done then
    found := array(select f.id
                     from materials f
                    where (pairs is null or material_search_pairs(f.title, f.description) @@ pairs)
                      and (exact or strpos(search_text(f.title), needle) > 0 or strpos(search_text(f.description), needle) > 0)
                      and (f.is_active or not active_only)
                    order by f.download_count desc, f.id desc
                    limit most);
  end if;

  if most is not null then
    return query
    select m.id, m.title, m.description, c.name, m.download_count, m.view_count, strpos(search_text(m.title), needle) > 0
      from materials m
      left join categories c on c.id = m.category_id
     where m.id = any (found)
     order by m.download_count desc, m.id desc;
    return;
  end if;

  return query
  select m.id, m.title, m.description, c.name, m.download_count, m.view_count, strpos(search_text(m.title), needle) > 0
    from materials m
    left join categories c on c.id = m.category_id
   where (pairs is null or material_search_pairs(m.title, m.description) @@ pairs)
     and (exact or strpos(search_text(m.title), needle) > 0 or strpos(search_text(m.description), needle) > 0)
     and (m.is_active or not active_only)
   order by m.download_count desc, m.id desc;
end
$$;

-- For everybody: active materials. SECURITY DEFINER, because behind a row policy the planner may not use the index
-- (its operator is not leakproof): the owner looks, and what may be seen is asked for instead.
create or replace function search_materials(query text, max_rows integer default 20)
returns table (id bigint, title varchar, description text, category_name varchar, download_count bigint, view_count bigint, in_title boolean)
language sql stable strict security definer as $$
  select * from search_all_materials(query, max_rows, true)
$$;

select pin_search_path('search_all_materials(text, integer, boolean)');
select pin_search_path('search_materials(text, integer)');
revoke execute on function search_materials(text, integer) from public;
comment on function search_query(text) is 'The tsquery over search_pairs() that a text containing this one must match; null for an empty one.';
comment on function search_all_materials(text, integer, boolean) is 'Like search_materials(), with the caller''s rights: an administrator finds inactive materials too.';
comment on function search_materials(text, integer) is 'Active materials whose title or description contains the text (any length, any language, case and Unicode form aside), most downloaded first. 0 rows means all.';

-- migrate:down
drop function search_materials(text, integer);
drop function search_all_materials(text, integer, boolean);
drop function search_query(text);
