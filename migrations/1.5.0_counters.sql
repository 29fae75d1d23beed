-- Counters, once a statement instead of once a row: 50,000 log rows are one update of the materials they touch.
-- Only INSERT counts. Removing logs (retention, DELETE, TRUNCATE, moving them in a merge) leaves the counters alone:
-- they say how often something happened, and the logs of it may be long gone.

-- migrate:up

-- Writers lock the materials in one order, so two of them cannot deadlock however their rows are mixed. NO KEY UPDATE
-- does not wait for the FOR KEY SHARE that the log's own foreign key takes.
-- SECURITY DEFINER: whoever may log a download need not be allowed to change materials.
-- Arrays, because a plan over the transition table itself is kept for the session: made for 50,000 rows, it would scan
-- all materials for a single one.
-- The setting tells the audit trigger, which belongs to the same owner, that nothing but a counter changes.
create function increment_download_count() returns trigger
language plpgsql security definer as $$
declare
  ids     bigint[];
  times   bigint[];
  ignored text;
begin
  select array_agg(material_id), array_agg(n) into ids, times
    from (select material_id, count(*) as n from new_logs group by material_id) l;
  if cardinality(ids) > 1 then
    perform from materials where id = any (ids) order by id for no key update;
  end if;

  ignored := set_config('eduschema.counting', 'on', true);
  update materials m
     set download_count = m.download_count + l.n
    from unnest(ids, times) l (id, n)
   where m.id = l.id;
  ignored := set_config('eduschema.counting', '', true);
  return null;
end
$$;

create function increment_view_count() returns trigger
language plpgsql security definer as $$
declare
  ids     bigint[];
  times   bigint[];
  ignored text;
begin
  select array_agg(material_id), array_agg(n) into ids, times
    from (select material_id, count(*) as n from new_logs group by material_id) l;
  if cardinality(ids) > 1 then
    perform from materials where id = any (ids) order by id for no key update;
  end if;

  ignored := set_config('eduschema.counting', 'on', true);
  update materials m
     set view_count = m.view_count + l.n
    from unnest(ids, times) l (id, n)
   where m.id = l.id;
  ignored := set_config('eduschema.counting', '', true);
  return null;
end
$$;

select pin_search_path('increment_download_count()');
select pin_search_path('increment_view_count()');
revoke execute on function increment_download_count(), increment_view_count() from public;

create trigger increment_material_downloads
  after insert on download_logs referencing new table as new_logs
  for each statement execute function increment_download_count();

create trigger increment_material_views
  after insert on view_logs referencing new table as new_logs
  for each statement execute function increment_view_count();

comment on function increment_download_count() is 'Trigger: adds the inserted download logs to materials.download_count.';
comment on function increment_view_count() is 'Trigger: adds the inserted view logs to materials.view_count.';

-- migrate:down
drop trigger increment_material_views on view_logs;
drop trigger increment_material_downloads on download_logs;
drop function increment_view_count();
drop function increment_download_count();
