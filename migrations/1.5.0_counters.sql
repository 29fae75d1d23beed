-- Counters, once a statement instead of once a row: 50,000 log rows are one update of the materials they touch.
-- Only INSERT counts. Removing logs (retention, DELETE, TRUNCATE, moving them in a merge) leaves the counters alone:
-- they say how often something happened, and the logs of it may be long gone.

-- migrate:up

-- Writers lock the materials in one order, so two of them cannot deadlock however their rows are mixed. NO KEY UPDATE
-- does not wait for the FOR KEY SHARE that the log's own foreign key takes.
-- SECURITY DEFINER: whoever may log a download need not be allowed to change materials.
-- The setting tells the audit trigger, which belongs to the same owner, that nothing but a counter changes.
create function increment_download_count() returns trigger
language plpgsql security definer as $$
begin
  perform from materials where id in (select material_id from new_logs) order by id for no key update;

  perform set_config('eduschema.counting', 'on', true);
  update materials m
     set download_count = m.download_count + l.times
    from (select material_id, count(*) as times from new_logs group by material_id) l
   where m.id = l.material_id;
  perform set_config('eduschema.counting', '', true);
  return null;
end
$$;

create function increment_view_count() returns trigger
language plpgsql security definer as $$
begin
  perform from materials where id in (select material_id from new_logs) order by id for no key update;

  perform set_config('eduschema.counting', 'on', true);
  update materials m
     set view_count = m.view_count + l.times
    from (select material_id, count(*) as times from new_logs group by material_id) l
   where m.id = l.material_id;
  perform set_config('eduschema.counting', '', true);
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
