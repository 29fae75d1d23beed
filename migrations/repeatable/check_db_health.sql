-- migrate:up requires:1.11.0

-- Whether rows wait in the default partition, and nothing else: whoever watches need not be able to read the logs.
create or replace function has_default_rows(log_table regclass) returns boolean
language plpgsql stable security definer as $$
declare
  found_one boolean;
begin
  execute format('select exists (select from %s)', (select partdefid::regclass from pg_partitioned_table where partrelid = log_table)) into found_one;
  return found_one;
end
$$;
select pin_search_path('has_default_rows(regclass)');
revoke execute on function has_default_rows(regclass) from public;
comment on function has_default_rows(regclass) is 'Whether a partitioned log holds rows outside its months.';

-- One row for each limit of health_thresholds that is exceeded; no row means healthy.
create or replace function check_db_health() returns table (alert_type text, message text, severity text)
language plpgsql stable as $$
declare
  limits       jsonb   := (select jsonb_object_agg(t.name, t.value) from health_thresholds t);
  connections  bigint  := (select count(*) from pg_stat_activity where backend_type = 'client backend');
  percent_used numeric := round(connections * 100.0 / current_setting('max_connections')::numeric, 1);
  log_table    regclass;
  runway       interval;
begin
  return query
  select 'Long Running Query', format('process %s has been running a query for %s', a.pid, date_trunc('second', now() - a.query_start)), 'WARNING'
    from pg_stat_activity a
   where a.backend_type = 'client backend' and a.state = 'active' and a.pid <> pg_backend_pid()
     and now() - a.query_start > make_interval(secs => (limits ->> 'long_running_query')::float8 * 60)
  union all
  select 'Idle in Transaction', format('process %s has been idle in a transaction for %s', a.pid, date_trunc('second', now() - a.state_change)), 'WARNING'
    from pg_stat_activity a
   where a.state like 'idle in transaction%' and now() - a.state_change > make_interval(secs => (limits ->> 'idle_in_transaction')::float8 * 60)
  union all
  select 'High Connection Count', format('%s connections, %s %% of max_connections', connections, percent_used),
         case when percent_used > (limits ->> 'connections_critical')::numeric then 'CRITICAL' else 'WARNING' end
   where percent_used > least((limits ->> 'connections_warning')::numeric, (limits ->> 'connections_critical')::numeric)
  union all
  select 'High Disk Usage', format('database size is %s', pg_size_pretty(pg_database_size(current_database()))), 'CRITICAL'
   where pg_database_size(current_database()) > (limits ->> 'database_size')::numeric * 1024 ^ 3
  union all
  select 'Stale Popular Materials', format('popular_materials was last refreshed at %s', max(r.started_at)), 'WARNING'
    from matview_refreshes r where r.matview_name = 'popular_materials'
  having max(r.started_at) < now() - make_interval(secs => (limits ->> 'popular_materials_age')::float8 * 3600);

  foreach log_table in array array['download_logs', 'view_logs', 'audit_log']::regclass[] loop
    -- Bounds are printed in the session's zone, with their offset, and read back as instants.
    select max((regexp_match(pg_get_expr(c.relpartbound, c.oid), $re$ TO \('([^']+)'\)$re$))[1]::timestamptz) - now() into runway
      from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = log_table;
    if runway is null or runway < make_interval(secs => (limits ->> 'partition_runway')::float8 * 86400) then
      return query select 'Partitions Running Out', format('%s has partitions for %s days only', log_table, greatest(0, extract(day from coalesce(runway, '0')))),
                          case when coalesce(runway, '0') <= '0' then 'CRITICAL' else 'WARNING' end;
    end if;

    if has_default_rows(log_table) then
      return query select 'Rows in Default Partition', format('%s holds rows outside its months', log_table), 'WARNING';
    end if;
  end loop;
end
$$;
select pin_search_path('check_db_health()');
comment on function check_db_health() is 'What exceeds the limits in health_thresholds: alert_type, message, severity (WARNING or CRITICAL).';

-- migrate:down
drop function check_db_health();
drop function has_default_rows(regclass);
