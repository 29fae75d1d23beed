-- migrate:up requires:1.11.0

-- Other users' sessions show their state only to members of pg_read_all_stats (pg_monitor includes it).
drop view if exists db_activity_summary;
create view db_activity_summary as
select 'Active Connections' as metric, count(*) as value
  from pg_stat_activity where backend_type = 'client backend' and state = 'active'
union all
select 'Total Connections', count(*)
  from pg_stat_activity where backend_type = 'client backend'
union all
select 'Long Running Queries', count(*)
  from pg_stat_activity
 where backend_type = 'client backend' and state = 'active' and now() - query_start > interval '5 minutes'
union all
select 'Database Size (MB)', pg_database_size(current_database()) / 1024 / 1024;

comment on view db_activity_summary is 'Connections of the server, and the size of this database.';

-- migrate:down
drop view db_activity_summary;
