-- migrate:up requires:1.11.0

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
  needle text    := search_text(query);
  pairs  tsquery := search_query(needle);
  -- Up to two characters the index answers exactly, unless they are among those that it uses or replaces itself.
  exact  boolean := char_length(needle) <= 2 and needle !~ E'[\n\x02 ]';
  most   integer := nullif(max_rows, 0);
  first  bigint[];
  shown  bigint  := 0;
begin
  -- A longer text that many rows seem to have is mostly in the first of them: only these are read before all are.
  if not exact and most is not null then
    first := array(select f.id
                     from materials f
                    where material_search_pairs(f.title, f.description) @@ pairs
                      and (f.is_active or not active_only)
                    order by f.download_count desc, f.id desc
                    limit 10::bigint * most);
    return query
    select m.id, m.title, m.description, c.name, m.download_count, m.view_count, strpos(search_text(m.title), needle) > 0
      from materials m
      left join categories c on c.id = m.category_id
     where m.id = any (first)
       and (strpos(search_text(m.title), needle) > 0 or strpos(search_text(m.description), needle) > 0)
     order by m.download_count desc, m.id desc
     limit most;
    get diagnostics shown = row_count;
    if shown = most or cardinality(first) < 10::bigint * most then
      return;
    end if;
  end if;

  return query
  select m.id, m.title, m.description, c.name, m.download_count, m.view_count, strpos(search_text(m.title), needle) > 0
    from (select *
            from materials f
           where (pairs is null or material_search_pairs(f.title, f.description) @@ pairs)
             and (exact or strpos(search_text(f.title), needle) > 0 or strpos(search_text(f.description), needle) > 0)
             and (f.is_active or not active_only)
           order by f.download_count desc, f.id desc
           limit most - shown offset shown) m
    left join categories c on c.id = m.category_id
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
