-- migrate:up requires:1.11.0

-- What is popular in the categories a visitor (an address) downloaded from lately, without what the visitor has already.
create or replace function recommend_materials(visitor inet, max_rows integer default 5, within interval default '30 days')
returns table (id bigint, title varchar, category_name varchar, download_count bigint)
language sql stable as $$
  with preferred_categories as (
    select m.category_id, count(*) as downloads
      from download_logs dl
      join materials m on m.id = dl.material_id
     where dl.user_ip = visitor
       and dl.download_at > current_timestamp - within
       and m.category_id is not null
     group by m.category_id
  )
  select m.id, m.title, c.name, m.download_count
    from preferred_categories p
    join categories c on c.id = p.category_id and c.is_active
    join materials m on m.category_id = p.category_id
   where m.is_active
     and not exists (select from download_logs had where had.user_ip = visitor and had.material_id = m.id)
   order by m.download_count desc, p.downloads desc, m.created_at desc, m.id desc
   limit max_rows
$$;
select pin_search_path('recommend_materials(inet, integer, interval)');
comment on function recommend_materials(inet, integer, interval) is 'Popular materials of the categories this address downloaded from within the interval, except those it has.';

-- migrate:down
drop function recommend_materials(inet, integer, interval);
