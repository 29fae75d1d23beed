-- updated_at says when the content changed. UPDATE OF keeps the triggers out of counter updates altogether, WHEN keeps
-- them out of updates that write what was there. A statement that sets updated_at alone (an import, an undo) is obeyed.

-- migrate:up

create function update_updated_at_column() returns trigger
language plpgsql as $$
begin
  new.updated_at := current_timestamp;
  return new;
end
$$;
select pin_search_path('update_updated_at_column()');

create trigger update_materials_updated_at
  before update of title, description, content, category_id, file_path, file_name, original_file_name, file_size,
                   mime_type, difficulty_level, estimated_time, uploaded_by, is_featured, is_active on materials
  for each row
  when ((old.title, old.description, old.content, old.category_id, old.file_path, old.file_name, old.original_file_name, old.file_size,
         old.mime_type, old.difficulty_level, old.estimated_time, old.uploaded_by, old.is_featured, old.is_active)
        is distinct from
        (new.title, new.description, new.content, new.category_id, new.file_path, new.file_name, new.original_file_name, new.file_size,
         new.mime_type, new.difficulty_level, new.estimated_time, new.uploaded_by, new.is_featured, new.is_active))
  execute function update_updated_at_column();

create trigger update_categories_updated_at
  before update of name, description, icon, color, sort_order, is_active on categories
  for each row
  when ((old.name, old.description, old.icon, old.color, old.sort_order, old.is_active)
        is distinct from
        (new.name, new.description, new.icon, new.color, new.sort_order, new.is_active))
  execute function update_updated_at_column();

-- Not last_login: signing in changes nothing about a person.
create trigger update_users_updated_at
  before update of username, email, full_name, department, position, is_admin, is_active on users
  for each row
  when ((old.username, old.email, old.full_name, old.department, old.position, old.is_admin, old.is_active)
        is distinct from
        (new.username, new.email, new.full_name, new.department, new.position, new.is_admin, new.is_active))
  execute function update_updated_at_column();

comment on function update_updated_at_column() is 'Trigger: stamps updated_at with the time of the transaction.';

-- migrate:down
drop trigger update_users_updated_at on users;
drop trigger update_categories_updated_at on categories;
drop trigger update_materials_updated_at on materials;
drop function update_updated_at_column();
