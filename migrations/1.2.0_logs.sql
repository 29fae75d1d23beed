-- Download and view logs, a partition a month. The identifiers come from a plain sequence: identity columns get in
-- the way of ATTACH, differently in 15, 16 and 17.

-- migrate:up

-- Where a month begins. To change it: alter database ... set eduschema.time_zone = '...', before the first partition.
create function education_time_zone() returns text
language sql stable parallel safe
return coalesce(nullif(current_setting('eduschema.time_zone', true), ''), 'Asia/Seoul');

create sequence download_logs_id_seq;
create table download_logs (
  id          bigint not null default nextval('download_logs_id_seq'),
  material_id bigint not null references materials (id) on delete cascade,
  user_ip     inet,
  user_agent  text,
  download_at timestamptz not null default current_timestamp,
  referer_url text,
  session_id  varchar(100),
  primary key (id, download_at)
) partition by range (download_at);
alter sequence download_logs_id_seq owned by download_logs.id;

create sequence view_logs_id_seq;
create table view_logs (
  id            bigint not null default nextval('view_logs_id_seq'),
  material_id   bigint not null references materials (id) on delete cascade,
  user_ip       inet,
  user_agent    text,
  viewed_at     timestamptz not null default current_timestamp,
  session_id    varchar(100),
  view_duration integer,
  primary key (id, viewed_at),
  constraint view_logs_view_duration_not_negative check (view_duration >= 0)
) partition by range (viewed_at);
alter sequence view_logs_id_seq owned by view_logs.id;

-- A row with no month of its own goes to the default partition: late partitions must not lose logs.
create table download_logs_default partition of download_logs default;
create table view_logs_default partition of view_logs default;

-- First the foreign key's and the reports' index, then the recommendation's.
create index idx_download_logs_material on download_logs (material_id, download_at);
create index idx_download_logs_user_ip on download_logs (user_ip, download_at);
create index idx_view_logs_material on view_logs (material_id, viewed_at);

create function create_month_partitions(parent regclass, months_back integer, months_ahead integer) returns integer
language plpgsql as $$
declare
  zone        text := education_time_zone();
  this_month  date := date_trunc('month', current_timestamp at time zone zone);
  time_column name := (select a.attname from pg_partitioned_table p
                         join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
                        where p.partrelid = parent);
  default_one regclass := (select nullif(partdefid, 0) from pg_partitioned_table where partrelid = parent);
  parent_name name;
  home        name;
  month       date;
  child       name;
  lower_bound text;
  upper_bound text;
  grantee     name;
  made        integer := 0;
begin
  select c.relname, n.nspname into strict parent_name, home
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = parent;

  for i in -months_back .. months_ahead loop
    month := this_month + make_interval(months => i);
    child := format('%s_%s', parent_name, to_char(month, 'YYYY_MM'));
    continue when to_regclass(format('%I.%I', home, child)) is not null;

    -- With an explicit offset, so that the session's time zone has no say.
    lower_bound := to_char(month::timestamp at time zone zone at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS+00');
    upper_bound := to_char((month + interval '1 month') at time zone zone at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS+00');

    -- Made aside and attached: PARTITION OF would lock every reader of the parent out.
    execute format('create table %I.%I (like %s including defaults including constraints including storage)', home, child, parent);
    if default_one is not null then
      execute format('lock table %s in share row exclusive mode', default_one);
      execute format('with late as (delete from %1$s where %2$I >= %3$L and %2$I < %4$L returning *) insert into %5$I.%6$I select * from late',
                     default_one, time_column, lower_bound, upper_bound, home, child);
    end if;
    execute format('alter table %s attach partition %I.%I for values from (%L) to (%L)', parent, home, child, lower_bound, upper_bound);

    -- Rights are those of the parent. What default privileges gave would be a way around the counters and the audit.
    for grantee in
      select distinct r.rolname from pg_class c, aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
       where c.oid = format('%I.%I', home, child)::regclass and a.grantee <> c.relowner
    loop
      execute format('revoke all on %I.%I from %I', home, child, grantee);
    end loop;
    made := made + 1;
  end loop;
  return made;
end
$$;
select pin_search_path('create_month_partitions(regclass, integer, integer)');
revoke execute on function create_month_partitions(regclass, integer, integer) from public;

select create_month_partitions('download_logs', 3, 3);
select create_month_partitions('view_logs', 3, 3);

comment on function education_time_zone() is 'Zone in which months begin: eduschema.time_zone, or Asia/Seoul.';
comment on function create_month_partitions(regclass, integer, integer) is 'Makes missing month partitions around today; moves rows that waited in the default partition. Returns how many it made.';
comment on table download_logs is 'One row a download. Partitioned by month; each insert counts in materials.download_count.';
comment on table view_logs is 'One row a view. Partitioned by month; each insert counts in materials.view_count.';
comment on column view_logs.view_duration is 'Seconds spent on the page.';

-- migrate:down
drop function create_month_partitions(regclass, integer, integer);
drop table view_logs;
drop table download_logs;
drop function education_time_zone();
