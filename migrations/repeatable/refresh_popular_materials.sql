-- migrate:up requires:1.11.0

-- Readers go on reading during a refresh. Only the very first one (after a restore without data) has to lock them out.
-- SECURITY DEFINER: refreshing is the owner's right, and the owner sees every material through the row policies.
create or replace function refresh_popular_materials() returns void
language plpgsql security definer as $$
declare
  populated boolean     := (select relispopulated from pg_class where oid = 'popular_materials'::regclass);
  started   timestamptz := clock_timestamp();
begin
  if populated then
    refresh materialized view concurrently popular_materials;
  else
    refresh materialized view popular_materials;
  end if;

  insert into matview_refreshes (matview_name, started_at, duration, row_count, is_concurrent)
  select 'popular_materials', started, clock_timestamp() - started, count(*), populated from popular_materials;
end
$$;
select pin_search_path('refresh_popular_materials()');
revoke execute on function refresh_popular_materials() from public;
comment on function refresh_popular_materials() is 'Brings popular_materials up to date without locking readers out, and logs that in matview_refreshes.';

-- migrate:down
drop function refresh_popular_materials();
