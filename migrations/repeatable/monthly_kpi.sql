-- migrate:up requires:1.11.0
drop view if exists monthly_kpi;
create view monthly_kpi as
select date_trunc('month', created_at at time zone education_time_zone())::date as month,
       count(*) as materials_uploaded,
       count(*) filter (where is_featured) as featured_materials,
       round(avg(file_size)) as avg_file_size,
       sum(download_count) as total_downloads,
       count(distinct category_id) as active_categories
  from materials
 where is_active
 group by 1
 order by month desc;

-- See category_performance.sql.
do $$
begin
  if current_setting('server_version_num')::integer >= 150000 then
    alter view monthly_kpi set (security_invoker = true);
  end if;
end
$$;
comment on view monthly_kpi is 'Active materials by the month of their upload (education_time_zone()).';
comment on column monthly_kpi.total_downloads is 'Of the materials uploaded in that month, to this day.';
comment on column monthly_kpi.avg_file_size is 'Bytes.';

-- migrate:down
drop view monthly_kpi;
